"""Circuit breaker of one upstream: after consecutive failures it rests, then single probes decide.

Closed -> open after `failures` consecutive failures. Open -> half-open by time alone, so that health comes back
without traffic. Half-open lets one probe run at a time; `probes` successes close it, one failure opens it again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from router_backend.config.limits import Breaker as BreakerConfig
from router_backend.core.errors import Verdict

State = Literal["closed", "open", "half_open"]


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
        self._opened: float | None = None  # None: closed
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

    @property
    def blocked(self) -> bool:
        """Whether `enter` would refuse."""
        state = self.state
        return state == "open" or (state == "half_open" and self._probing)

    def enter(self) -> Permit | None:
        """A permit for one call, or None. Every permit is settled exactly once by one of its methods."""
        if self.blocked:
            return None
        probe = self._opened is not None
        self._probing |= probe
        return Permit(self, self._epoch, probe)

    def _settle(self, epoch: int, probe: bool, verdict: Verdict) -> None:
        if epoch != self._epoch:
            return
        if probe:
            self._probing = False
        if verdict is Verdict.NOTHING:
            return
        if verdict is Verdict.WELL:
            self._failures = 0
            if probe:
                self._passed += 1
                if self._passed >= self._config.probes:
                    self._epoch += 1
                    self._opened, self._half_open = None, False
                    self._on_change("closed")
            return
        self._failures += 1
        if probe or self._failures >= self._config.failures:
            self._epoch += 1
            self._failures = 0
            self._opened, self._half_open, self._probing = self._clock(), False, False
            self._on_change("open")


class Permit:
    """One call that the breaker let through."""

    __slots__ = ("_breaker", "_epoch", "_probe", "_settled")

    def __init__(self, breaker: CircuitBreaker, epoch: int, probe: bool) -> None:
        self._breaker, self._epoch, self._probe, self._settled = breaker, epoch, probe, False

    def first_byte(self) -> None:
        """A probe has passed as soon as it answers: a long answer must not delay recovery."""
        if self._probe:
            self.settle(Verdict.WELL)

    def settle(self, verdict: Verdict) -> None:
        """The call has ended; later calls change nothing."""
        if not self._settled:
            self._settled = True
            self._breaker._settle(self._epoch, self._probe, verdict)
