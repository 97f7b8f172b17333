"""Which arm this router took last in each session: for a gateway that hasn't seen the session, since another replica has.

A gateway that knows who answered says so, and is believed: it also knows of fallbacks, and what caches have read.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from router_backend.core.decision import RoutedDecision
from router_backend.prompts.hints import RoutingHints

_SESSIONS = 30_000  # a few hundred bytes each
_WARM_SECONDS = 300.0  # that providers say a cache keeps what was read last
_WARM_LEAST = 1024  # tokens from which on they say that there is something in it


class _Last(NamedTuple):
    model: str
    tokens: int  # of the prompt
    at: float  # by the clock


class LastArms:
    """A bounded memory of one thread; the session that was asked longest ago is forgotten first."""

    def __init__(self, sessions: int = _SESSIONS, clock: Callable[[], float] = time.monotonic) -> None:
        self._sessions, self._clock = sessions, clock
        self._last: OrderedDict[str, _Last] = OrderedDict()

    def completed(self, hints: RoutingHints) -> RoutingHints:
        """The hints, with the previous model, and what its cache should hold, where only this router knows them."""
        # The first words of a conversation may be anybody's: they neither go on with a loop nor can be asked again.
        if hints.previous_model or not hints.session or not (hints.depth or hints.repeatable):
            return hints
        last = self._last.get(hints.session)
        if last is None:
            return hints
        young = self._clock() - last.at < _WARM_SECONDS and last.tokens >= _WARM_LEAST
        warm = {last.model: float(last.tokens)} if young and not hints.warm else hints.warm
        return replace(hints, previous_model=last.model, warm=warm)

    def decided(self, hints: RoutingHints, decision: RoutedDecision) -> None:
        """Remember a decision that is served."""
        if not hints.session or hints.dry_run:
            return
        self._last[hints.session] = _Last(decision.model, hints.prompt_tokens, self._clock())
        self._last.move_to_end(hints.session)
        if len(self._last) > self._sessions:
            self._last.popitem(last=False)
