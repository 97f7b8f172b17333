"""What is known of an answer under way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from router_backend.core.errors import Attempt, Cause
from router_backend.core.records import Usage

_BYTES_PER_TOKEN = 4


class Expense(NamedTuple):
    """What an arm has worked, and has to be paid for."""

    arm: str
    usage: Usage


@dataclass(slots=True)
class Progress:
    """What is known of an answer so far; final when the answer has ended."""

    arm: str
    started: float  # time.monotonic()
    status: int = 200
    usage: Usage = field(default_factory=Usage)
    usage_known: bool = False
    finish_reason: str = ""
    revision: str = ""  # of the model, as the upstream names it
    first_token: float | None = None  # seconds after `started`
    latency: float | None = None  # seconds; None while it runs
    attempts: int = 1
    fallbacks: tuple[Attempt, ...] = ()  # arms that were asked before `arm`
    error: Cause | None = None  # of a failure after the first byte
    batched: bool = False  # the upstream's Batch API gave it: at that price, and nobody waited for it
    discarded: tuple[Expense, ...] = ()  # see `ForwardRequest.discarded`; they cost, too

    def estimate(self, content: int, written: int) -> None:
        """Where no usage was said: content chunks stand for tokens, or their text (bytes), where they hold more than one
        token each; `usage_known` stays false."""
        if not self.usage_known:
            self.usage = Usage(prompt=self.usage.prompt, completion=max(content, written // _BYTES_PER_TOKEN))
