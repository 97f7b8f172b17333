"""Scores that the gateway found by itself: one group that can't be sent holds up no other."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from router_backend.core import background
from router_backend.core.records import Feedback
from router_backend.gateway.score_queue import ScoreQueue


def score(decision: str) -> Feedback:
    return Feedback(decision_id=decision, received=1.0, score=0.0, implicit="refusal")


class Triton:
    """Breaks on its first group."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.taken = asyncio.Event()

    async def report_scores(self, group: list[Feedback], seconds: float) -> None:
        self.groups.append([each.decision_id for each in group])
        if len(self.groups) == 1:
            raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")
        self.taken.set()


async def test_a_group_that_can_not_be_written_down_is_dropped_and_the_next_one_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(background, "PAUSES", (0.001, 0.001))
    triton: Any = Triton()
    dropped: list[int] = []
    failed: list[str] = []
    queue = ScoreQueue(triton, dropped.append, on_failure=failed.append)
    for count in range(300):  # more than one group
        queue.add(score(str(count)))
    queue.start()
    async with asyncio.timeout(20):
        await triton.taken.wait()
    await queue.aclose()
    assert [len(group) for group in triton.groups] == [256, 44]
    assert (dropped, failed) == ([256], ["scores"])
