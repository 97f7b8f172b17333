"""How fast an arm is now, from its calls: the time to the first token, and the time of each further one.

A local-level model (Harvey 1989, "Forecasting, structural time series models and the Kalman filter", section 2.1) of the logarithm of seconds: the level
is a random walk by requests, and each call shows it with noise. So a surprise moves the estimate at once, and an arm that isn't
called becomes less certain with each request that others get. What is expected of it is the lower end of that uncertainty: an arm
that was slow is tried again, and one call says whether it still is.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable

_NOISE = 0.25
"""Variance of one call's log seconds: prompts differ, and so do batches. Half or one and a half times the usual is nothing new."""
_DRIFT = 0.04
"""Variance that one request adds. After 65 requests without a call an arm may be five times faster than it was."""
_MOST = math.log(10.0) ** 2
"""Nobody is expected to be more than ten times faster than last seen."""
_LEAST = 1e-4
"""Seconds under which differences don't matter."""


class Level:
    """Log seconds, known with a variance."""

    __slots__ = ("_mean", "_variance")

    def __init__(self) -> None:
        self._mean: float | None = None
        self._variance = _MOST

    def age(self) -> None:
        """A request has passed."""
        self._variance = min(self._variance + _DRIFT, _MOST)

    def observe(self, seconds: float) -> None:
        value = math.log(max(seconds, _LEAST))
        if self._mean is None:
            self._mean, self._variance = value, _NOISE
            return
        gain = self._variance / (self._variance + _NOISE)
        self._mean += gain * (value - self._mean)
        self._variance *= 1.0 - gain

    @property
    def expected(self) -> float | None:
        """Seconds, one standard deviation below the level; None: nothing was seen."""
        return None if self._mean is None else math.exp(self._mean - math.sqrt(self._variance))


class Pace:
    """One arm's. Belongs to the event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first, self._token = Level(), Level()
        self._waiting: dict[Timing, float] = {}  # since when

    def request(self) -> None:
        """A request has come, for whichever arm."""
        if not self._waiting:  # else it is being seen
            self._first.age()
            self._token.age()

    def begin(self) -> Timing:
        """A call of the arm, its wait for a slot included."""
        timing = Timing(self, self._clock())
        self._waiting[timing] = timing.began
        return timing

    @property
    def expected(self) -> tuple[float, float] | None:
        """Seconds to the first token, and seconds of each further one; None: nothing is known.

        Calls that wait say something before they end: the first token is as late as half of them are already.
        """
        first = self._first.expected
        if self._waiting:
            waited = self._clock() - statistics.median(self._waiting.values())
            first = waited if first is None else max(first, waited)
        return None if first is None else (first, self._token.expected or 0.0)


class Timing:
    """One call. What comes after its end changes nothing."""

    __slots__ = ("_first", "_pace", "began")

    def __init__(self, pace: Pace, began: float) -> None:
        self._pace, self.began = pace, began
        self._first: float | None = None

    def first(self) -> None:
        """The first content is there."""
        if self._pace._waiting.pop(self, None) is not None:
            self._first = self._pace._clock()
            self._pace._first.observe(self._first - self.began)

    def end(self, tokens: int) -> None:
        """The answer is complete, with so many tokens. One that came in one piece says nothing of tokens."""
        first, self._first = self._first, None
        self._pace._waiting.pop(self, None)
        if first is not None and tokens > 1:
            self._pace._token.observe((self._pace._clock() - first) / (tokens - 1))

    def drop(self, late: bool) -> None:
        """The call ended otherwise. `late`: for want of a first token, which is at least as late as this."""
        self._first = None
        if self._pace._waiting.pop(self, None) is not None and late:
            self._pace._first.observe(self._pace._clock() - self.began)
