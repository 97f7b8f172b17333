"""`/health/live` and `/health/ready`: open to everybody, for probes; they hold no content."""

from __future__ import annotations

import asyncio
from typing import Any

from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.journal import Journal
from router_backend.gateway.outcome_queue import OutcomeQueue
from router_backend.gateway.router_host import RouterHost
from router_backend.gateway.runtime import Runtimes
from router_backend.gateway.workers.calls import NoAnswer
from router_backend.gateway.workers.siblings import Siblings

_PARENT_SECONDS = 15.0  # longer than whoever asks waits: no answer says that it is frozen
_STATE_SECONDS = 0.5
_SIBLINGS_SECONDS = 2.0


class LiveHandler:
    """200: the process runs, and so does the parent of the workers, which starts others."""

    def __init__(self, siblings: Siblings | None) -> None:
        self._siblings = siblings

    async def __call__(self, exchange: Exchange) -> None:
        try:
            if self._siblings:
                await self._siblings.parent("alive", _PARENT_SECONDS)
        except NoAnswer:
            await exchange.json({"status": "the parent of the workers does not answer"}, 503)
        else:
            await exchange.json({"status": "live"})


class ReadyHandler:
    """200 only when a routed request would succeed, whichever worker gets it: `route` decides, and an upstream takes requests.

    `state` says whether feedback and outcomes are stored now, `journal` whether outcomes survive this process meanwhile
    (null: none is kept), `learning_behind` how many observations the router that is furthest behind has still to learn from
    (null: no router has said). Requests succeed all the same, so none of them decides.
    """

    def __init__(
        self,
        runtimes: Runtimes,
        router: RouterHost,
        outcomes: OutcomeQueue,
        journal: Journal | None,
        siblings: Siblings | None,
    ) -> None:
        self._runtimes, self._router, self._outcomes, self._journal = runtimes, router, outcomes, journal
        self._siblings = siblings

    async def __call__(self, exchange: Exchange) -> None:
        if self._siblings:
            status, others, watched = await asyncio.gather(
                self.status(), self._siblings.all("ready", _SIBLINGS_SECONDS), self._siblings.watched(_SIBLINGS_SECONDS)
            )
            status = _together([status, *others], watched)
        else:
            status = await self.status()
        ready = status["status"] == "ready"
        await exchange.json(status, 200 if ready else 503, [] if ready else [(b"retry-after", b"1")])

    async def status(self) -> dict[str, Any]:
        """Of this process."""
        routing = await self._router.decides()
        upstreams = dict(self._runtimes.current.engine.health())
        ready = routing and any(state != "open" for state in upstreams.values())
        return {
            "status": "ready" if ready else "not ready",
            "route": routing,
            "state": await self._outcomes.refresh(_STATE_SECONDS),
            "journal": (self._journal.failure or "written") if self._journal else None,
            "learning_behind": self._outcomes.behind,
            "upstreams": upstreams,
        }


def _together(workers: list[dict[str, Any] | None], watched: bool) -> dict[str, Any]:
    """The status of a worker that isn't ready, if there is one, else of any. Those that nobody watches yet aren't ready."""
    there = [status for status in workers if status]
    ready = sum(status["status"] == "ready" for status in there)
    shown = min(
        there, key=lambda status: (status["status"] == "ready", status["state"], status["journal"] == "written")
    )
    return {
        **shown,
        "status": "ready" if ready == len(workers) and watched else "not ready",
        "workers": {"ready": ready, "of": len(workers)},
    }
