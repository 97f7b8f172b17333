"""Circuit breaker of one upstream: after consecutive failures it rests, then single probes decide.

Closed -> open after `failures` consecutive failures. Open -> half-open by time alone, so that health comes back
without traffic. Half-open lets one probe run at a time; `probes` successes close it, one failure opens it again.

It opens on evidence of the upstream, not of one client's requests: failures that are all one client's, or all of one kind
of its requests, don't open it while it answers other requests (within `open_seconds`).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Literal, NamedTuple

from router_backend.config.limits import Breaker as BreakerConfig
from router_backend.core.errors import Verdict

State = Literal["closed", "open", "half_open"]

_OTHERS_FIRST = 0.1
"""Of `open_seconds`: how long after a failed probe's rest the others may probe before the client whose probe it was."""


class Caller(NamedTuple):
    """Whose call it is, by names and hashes alone; never a text of the request."""

    client: str = ""  # the key's name, or an address; empty: not known
    kind: int = 0  # of the request: its endpoint and the names of its fields


_UNKNOWN = Caller()


class CircuitBreaker:
    """Breaker of one arm; used on one event loop."""

    def __init__(
        self,
        config: BreakerConfig,
        on_change: Callable[[State], None] = lambda state: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config, self._on_change, self._clock = config, on_change, clock
        self._failures = 0
        self._failed_clients, self._failed_callers = _Few(), _Few()  # of these failures
        self._answered_clients, self._answered_callers = _Few(), _Few()
        self._opened: float | None = None  # None: closed
        self._failed_probe = ""  # the client that it was
        self._half_open = False
        self._probing = False
        self._passed = 0
        self._epoch = 0  # results of permits of an earlier epoch say nothing about now

    @property
    def state(self) -> State:
        """By the clock: an open breaker whose rest is over is half-open."""
        if self._opened is None:
            return "closed"
        if not self._half_open and self._clock() - self._opened >= self._config.open_seconds:
            self._half_open = True
            self._passed, self._probing = 0, False
            self._on_change("half_open")
        return "half_open" if self._half_open else "open"

    @property
    def retry_after(self) -> float:
        """Seconds until a call may be let through; at least a second while a probe runs."""
        if self.state != "open" or self._opened is None:
            return 1.0
        return max(1.0, self._opened + self._config.open_seconds - self._clock())

    def blocked(self, caller: Caller = _UNKNOWN) -> bool:
        """Whether `enter` would refuse."""
        state = self.state
        return state == "open" or (state == "half_open" and (self._probing or self._waits(caller)))

    def enter(self, caller: Caller = _UNKNOWN) -> Permit | None:
        """A permit for one call, or None. Every permit is settled exactly once by one of its methods."""
        if self.blocked(caller):
            return None
        probe = self._opened is not None
        self._probing |= probe
        return Permit(self, self._epoch, probe, caller)

    def _waits(self, caller: Caller) -> bool:
        """Whether a client whose probe failed leaves the first probe to others: else it could keep the arm for ever."""
        if self._opened is None or self._passed or not caller.client or caller.client != self._failed_probe:
            return False
        return self._clock() - self._opened < self._config.open_seconds * (1 + _OTHERS_FIRST)

    def _settle(self, epoch: int, probe: bool, verdict: Verdict, caller: Caller) -> None:
        if epoch != self._epoch:
            return
        if probe:
            self._probing = False
        if verdict is Verdict.NOTHING:
            return
        now = self._clock()
        if verdict is Verdict.WELL:
            self._answered_clients.add(caller.client, now)
            self._answered_callers.add(caller, now)
            self._forget_failures()
            if probe:
                self._passed += 1
                if self._passed >= self._config.probes:
                    self._epoch += 1
                    self._opened, self._half_open, self._failed_probe = None, False, ""
                    self._on_change("closed")
            return
        self._failures += 1
        self._failed_clients.add(caller.client, now)
        self._failed_callers.add(caller, now)
        if (probe or self._failures >= self._config.failures) and not self._answers_others(now):
            self._epoch += 1
            self._forget_failures()
            self._failed_probe = caller.client if probe else ""
            self._opened, self._half_open, self._probing = now, False, False
            self._on_change("open")

    def _answers_others(self, now: float) -> bool:
        """Whether the failures are all one client's, or one caller's, and another one was answered lately."""
        since = now - self._config.open_seconds
        return self._answered_clients.other_than(self._failed_clients, since) or self._answered_callers.other_than(
            self._failed_callers, since
        )

    def _forget_failures(self) -> None:
        self._failures = 0
        self._failed_clients.clear()
        self._failed_callers.clear()


class _Few:
    """The two that were seen last: they tell whether there is any other than a given one, however many there are."""

    def __init__(self) -> None:
        self._seen: OrderedDict[Hashable, float] = OrderedDict()  # when, the latest last

    def add(self, value: Hashable, now: float) -> None:
        self._seen[value] = now
        self._seen.move_to_end(value)
        if len(self._seen) > 2:
            self._seen.popitem(last=False)

    def clear(self) -> None:
        self._seen.clear()

    def other_than(self, single: _Few, since: float) -> bool:
        """Whether `single` holds one alone, and this, since then, another."""
        (only, *more) = single._seen
        return not more and any(value != only and when > since for value, when in self._seen.items())


class Permit:
    """One call that the breaker let through."""

    __slots__ = ("_breaker", "_caller", "_epoch", "_probe", "_settled")

    def __init__(self, breaker: CircuitBreaker, epoch: int, probe: bool, caller: Caller) -> None:
        self._breaker, self._epoch, self._probe, self._caller = breaker, epoch, probe, caller
        self._settled = False

    def first_byte(self) -> None:
        """A probe has passed as soon as it answers: a long answer must not delay recovery."""
        if self._probe:
            self.settle(Verdict.WELL)

    def settle(self, verdict: Verdict) -> None:
        """The call has ended; later calls change nothing."""
        if not self._settled:
            self._settled = True
            self._breaker._settle(self._epoch, self._probe, verdict, self._caller)
