"""A router that is behind the log of learning says so."""

from __future__ import annotations

import logging

import pytest

from router_backend.learning.progress import _TELL_EVENTS, Progress


def test_much_to_read_is_told_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    told: list[int] = []
    progress = Progress(lambda: told.append(progress.behind))
    with caplog.at_level(logging.INFO):
        progress.at(0, _TELL_EVENTS)
        progress.at(5000, _TELL_EVENTS)
        assert progress.behind == _TELL_EVENTS - 5000
        progress.at(_TELL_EVENTS, _TELL_EVENTS)
    assert progress.behind == 0
    assert told == [_TELL_EVENTS, _TELL_EVENTS - 5000]
    assert caplog.text.count("events behind the log") == 1
    assert f"caught up: {_TELL_EVENTS} events" in caplog.text


def test_a_little_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    progress = Progress()
    with caplog.at_level(logging.INFO):
        progress.at(0, 100)
        progress.at(100, 100)
    assert not caplog.text
