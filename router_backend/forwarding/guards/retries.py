"""Retries: full-jitter backoff (Brooker, "Exponential Backoff And Jitter", AWS 2015) inside a retry budget."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable

from router_backend.config.limits import Retries

WINDOW = 10.0
"""Seconds over which the budget is reckoned."""


class RetryBudget:
    """Caps retries at a share of the requests of the last ten seconds, so that retries can't multiply an overload.

    A few are always allowed (`minimum`), or a quiet router could never retry. A budget of 0 allows none.
    """

    def __init__(self, share: float, minimum: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._share, self._minimum, self._clock = share, minimum, clock
        self._seconds: deque[tuple[int, list[int]]] = deque()  # (second, [requests, retries])
        self._requests = self._retries = 0

    def request(self) -> None:
        """Count one request."""
        self._now()[0] += 1
        self._requests += 1

    def spend(self) -> bool:
        """Take one retry from the budget, if there is one."""
        now = self._now()
        if self._share == 0 or self._retries >= max(self._minimum, self._share * self._requests):
            return False
        now[1] += 1
        self._retries += 1
        return True

    def _now(self) -> list[int]:
        second = int(self._clock())
        while self._seconds and self._seconds[0][0] <= second - WINDOW:
            requests, retries = self._seconds.popleft()[1]
            self._requests -= requests
            self._retries -= retries
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append((second, [0, 0]))
        return self._seconds[-1][1]


def backoff(config: Retries, retry: int, retry_after: float | None, rng: random.Random) -> float | None:
    """Seconds before the `retry`-th retry (from 0), or None if the upstream asks for more patience than we have."""
    if retry_after is not None and retry_after > config.max_backoff:
        return None
    return max(retry_after or 0.0, rng.uniform(0, min(config.max_backoff, config.backoff * 2**retry)))
