"""Collections are off for a moment, and never stay off."""

from __future__ import annotations

import gc
import threading

import pytest

from router_backend.core.garbage import no_collections


def test_collections_are_off_within_and_on_behind() -> None:
    with no_collections():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_an_error_turns_them_on_again() -> None:
    with pytest.raises(ValueError, match="of the page"), no_collections():
        raise ValueError("of the page")
    assert gc.isenabled()


def test_they_stay_off_where_they_were() -> None:
    gc.disable()
    try:
        with no_collections():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize("first", ["outer", "inner"])
def test_two_threads_leave_them_on_whoever_ends_first(first: str) -> None:
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with no_collections():
            inside.set()
            leave.wait()

    thread = threading.Thread(target=other)
    with no_collections():
        thread.start()
        inside.wait()
        if first == "inner":
            leave.set()
            thread.join()
    leave.set()
    thread.join()
    assert gc.isenabled()
