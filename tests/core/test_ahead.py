"""What is read ahead is what is read."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from router_backend.core.ahead import read_ahead


def test_all_items_in_order() -> None:
    assert list(read_ahead(range(1000))) == list(range(1000))
    assert list(read_ahead([])) == []


def test_an_error_comes_where_it_was() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("here")

    items = read_ahead(broken())
    assert next(items) == 1
    with pytest.raises(ValueError, match="here"):
        next(items)


def test_who_stops_reading_leaves_nothing_behind() -> None:
    closed_in_time = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed_in_time.set()

    items = read_ahead(endless())
    next(items)
    items.close()  # type: ignore[attr-defined]
    assert closed_in_time.wait(60)
