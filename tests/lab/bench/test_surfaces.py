"""What one API adds to another, from times that are known."""

from __future__ import annotations

import pytest

from router_backend.lab.bench.surfaces import KINDS, Times, added, markdown


def times(api: str, *medians: float) -> Times:
    """Rounds with these medians, in milliseconds, of each kind."""
    return Times(api, {kind: [[(median + off) / 1e3 for off in (-1, 0, 5)] for median in medians] for kind in KINDS})


def test_what_an_api_adds_is_told_by_rounds() -> None:
    chat, other = (
        times("chat/completions", 2.0, 4.0),
        times("messages", 2.25, 4.25),
    )  # a round that was slow was so for both
    assert added(other, chat, "whole") == pytest.approx((0.25, 0.0))
    lines = list(markdown([times("the model's server", 1.0, 1.0), chat, other]))
    assert lines[-1] == "| messages | +0.250 ± 0.000 | +0.250 ± 0.000 | +0.250 ± 0.000 |"
