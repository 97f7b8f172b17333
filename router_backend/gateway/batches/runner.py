"""Finds batches that haven't ended, and works on those whose lease this process gets: so one dies with its process, and another
process goes on.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable

from prometheus_client import Gauge

from router_backend.core.background import Failed
from router_backend.gateway.batches.record import Batch
from router_backend.gateway.batches.register import Register
from router_backend.gateway.batches.shelves import made_at
from router_backend.gateway.batches.storage.objects import ObjectsError
from router_backend.gateway.batches.tidy import Tidy
from router_backend.gateway.batches.work import Work
from router_backend.gateway.router_host import HostError, RouterHost
from router_backend.state.leases import Lease

LEASE_SECONDS = 30.0
EVERY_SECONDS = 5.0
TIDY_SECONDS = 600.0
_CALL_SECONDS = 5.0
_MOST = 32  # batches of one process; those whose lines are at upstreams wait for hours
_UNBORN_SECONDS = 600.0  # after which a batch without a state will never have one
_PAUSES = (1.0, 60.0)  # seconds after a failure, doubled from the first to the second
_WORK = "batches"  # its name among the background work
_log = logging.getLogger("llm_router.gateway")


class Runner:
    """Of one process."""

    def __init__(
        self,
        register: Register,
        tidy: Tidy,
        host: RouterHost,
        work: Callable[[Batch], Work],
        ended: Callable[[Batch], None],
        failed: Failed,
        running: Gauge,
    ) -> None:
        """`ended` hears of each batch that ends here, `failed` of mistakes of ours; `running`: how many it works on."""
        self._register, self._tidy, self._host, self._work = register, tidy, host, work
        self._ended, self._failed, self._running = ended, failed, running
        self._holder = secrets.token_hex(16)
        self._held: dict[str, asyncio.Task[None]] = {}
        self._resting: dict[str, tuple[float, float]] = {}  # by batch: until when, and how long
        self._called = asyncio.Event()
        self._tidied = float("-inf")

    def call(self) -> None:
        """There is a new batch."""
        self._called.set()

    async def run(self) -> None:
        """For as long as the process serves."""
        while True:
            self._called.clear()
            try:
                await self._look()
            except ObjectsError as error:
                _log.warning("batches wait: %s", error)
            try:
                async with asyncio.timeout(EVERY_SECONDS):
                    await self._called.wait()
            except TimeoutError:
                continue

    async def aclose(self) -> None:
        """Keep what was answered, and let others go on."""
        tasks = list(self._held.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self) -> None:
        now = time.monotonic()
        for batch_id in await self._register.waiting():
            rests = self._resting.get(batch_id, (0.0, 0.0))[0] > now
            if len(self._held) < _MOST and batch_id not in self._held and not rests and await self._take(batch_id):
                self._held[batch_id] = asyncio.create_task(self._hold(batch_id))
                self._running.set(len(self._held))
        if now > self._tidied + TIDY_SECONDS and await self._take("tidy"):
            self._tidied = now
            await self._tidy.run()

    async def _take(self, name: str, share: float = 1.0) -> bool:
        """Take or prolong a lease, for a share of its time; False, too, while the store can't be asked."""
        lease = Lease(f"batches:{name}", self._holder, share * LEASE_SECONDS)
        try:
            return await self._host.lease(lease, _CALL_SECONDS)
        except HostError as error:
            _log.warning("the lease of the batch %s can't be taken now: %s", name, error)
            return False

    async def _hold(self, batch_id: str) -> None:
        """Work on a batch for as long as the lease is ours."""
        working = asyncio.create_task(self._run(batch_id))
        until = time.monotonic() + LEASE_SECONDS
        try:
            while not (await asyncio.wait({working}, timeout=LEASE_SECONDS / 3))[0]:
                if await self._take(batch_id):
                    until = time.monotonic() + LEASE_SECONDS
                elif time.monotonic() > until - LEASE_SECONDS / 3:
                    _log.warning("the batch %s is left to others: its lease is over", batch_id)
                    return
            self._judge(batch_id, working)
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            del self._held[batch_id]
            self._running.set(len(self._held))
            await self._take(batch_id, 0.1)  # whoever comes next need not wait for its end
            self.call()

    def _judge(self, batch_id: str, working: asyncio.Task[None]) -> None:
        """After a failure the batch rests."""
        error = working.exception()
        if error is None:
            self._resting.pop(batch_id, None)
            return
        pause = min(_PAUSES[1], 2 * self._resting.get(batch_id, (0.0, _PAUSES[0] / 2))[1])
        self._resting[batch_id] = (time.monotonic() + pause, pause)
        if isinstance(error, ObjectsError):
            _log.warning("the batch %s waits %.3g s: %s", batch_id, pause, error)
        else:
            _log.error("the batch %s waits %.3g s", batch_id, pause, exc_info=error)
            self._failed(_WORK)

    async def _run(self, batch_id: str) -> None:
        owner = await self._register.owner(batch_id)
        batch = await self._register.find(owner, batch_id) if owner else None
        if batch is None:
            if time.time() - made_at(batch_id) > _UNBORN_SECONDS:
                await self._register.over(batch_id)
            return
        work, begun = self._work(batch), not batch.ended
        ended = await work.run()
        await work.tidy()
        if begun:
            self._ended(ended)
