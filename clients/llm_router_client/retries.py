"""When a failed call is made again, and after how long."""

from __future__ import annotations

import random
from dataclasses import dataclass

from llm_router_client.errors import RouterError


@dataclass(frozen=True)
class Retries:
    """Up to `attempts` calls in all, only while no byte of an answer has come.

    What may be retried is the server's to say (`x-should-retry`); without a word from it these are connections that
    failed and the statuses 408, 429, 502, 503 and 504. The wait is what the server asks for (`retry-after`) and an
    exponential backoff with full jitter; a server that asks for more than `longest` seconds gets no second call.
    """

    attempts: int = 3
    backoff: float = 0.25
    longest: float = 30.0

    def pause(self, error: RouterError, attempt: int) -> float:
        """Seconds to wait after the failure of call number `attempt` (from 1).

        Raises:
            RouterError: the same error, when there is no further call.
        """
        wait = error.retry_after or 0.0
        if not error.retryable or attempt >= self.attempts or wait > self.longest:
            raise error
        return wait + random.uniform(0, min(self.longest, self.backoff * 2**attempt))


NO_RETRIES = Retries(attempts=1)
