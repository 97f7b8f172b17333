"""What the engine tells about itself; metrics and logs subclass this."""

from __future__ import annotations

from router_backend.core.errors import Cause
from router_backend.forwarding.progress import Progress


class Observer:
    """Hooks that do nothing. They are called on the event loop's hot path: return at once, never raise."""

    def attempt(self, arm: str) -> None:
        """A call of the arm's upstream begins (retries included)."""

    def failed(self, arm: str, cause: Cause) -> None:
        """A call failed, before or after the first byte."""

    def retry(self, arm: str, cause: Cause) -> None:
        """The same arm is called again."""

    def fallback(self, arm: str, cause: Cause) -> None:
        """The arm is given up, and another one is taken."""

    def breaker(self, arm: str, state: str) -> None:
        """The arm's breaker is now closed, open or half_open."""

    def load(self, arm: str, running: int, queued: int) -> None:
        """Calls of the arm that run and that wait for a slot, after a change."""

    def first_token(self, arm: str, seconds: float) -> None:
        """The first content arrived, `seconds` after the request."""

    def chunks(self, arm: str, count: int) -> None:
        """So many stream events arrived in one read."""

    def ended(self, progress: Progress, streamed: bool) -> None:
        """An answer ended, well, badly or because the client left (status 499)."""
