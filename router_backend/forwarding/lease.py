"""What one call holds of its arm."""

from __future__ import annotations

import time

from router_backend.core.errors import Verdict
from router_backend.forwarding.guards.breaker import Permit
from router_backend.forwarding.guards.limiter import Slot
from router_backend.forwarding.observer import Observer
from router_backend.forwarding.pace import Timing
from router_backend.forwarding.progress import Progress
from router_backend.forwarding.upstreams.upstream import Reply


class Lease:
    """A slot, the breaker's permit, the upstream's reply. Given back once; later calls change nothing."""

    def __init__(
        self, progress: Progress, slot: Slot, permit: Permit, timing: Timing, observer: Observer, streamed: bool
    ) -> None:
        self.progress, self.permit, self.timing, self.observer = progress, permit, timing, observer
        self.reply: Reply | None = None
        self._slot, self._streamed = slot, streamed
        self.open = True

    def drop(self, verdict: Verdict) -> None:
        """The call failed before the first byte, or was cancelled there: no answer, so observers hear of no end."""
        if self.open:
            self.open = False
            self.permit.settle(verdict)
            self.timing.drop(late=False)
            self._slot.release()
            if self.reply:
                self.reply.cancel()

    def end(self, verdict: Verdict) -> None:
        """The answer ended: complete (WELL), by a failure, or left by the client (NOTHING)."""
        if self.open:
            if verdict is Verdict.WELL and self.reply:
                self.reply.finish()
            self.progress.latency = time.monotonic() - self.progress.started
            if verdict is Verdict.WELL:
                self.timing.end(self.progress.usage.completion)
            self.drop(verdict)
            self.observer.ended(self.progress, self._streamed)
