"""What the endpoints need of batches, and what runs beside them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from router_backend.config.schema import RouterConfig
from router_backend.core.background import Failed
from router_backend.gateway.batches import shelves
from router_backend.gateway.batches.answering import Answering
from router_backend.gateway.batches.files import FILE, Files
from router_backend.gateway.batches.record import WINDOW_SECONDS, Batch
from router_backend.gateway.batches.register import BATCH, Register
from router_backend.gateway.batches.runner import Runner
from router_backend.gateway.batches.storage.open import open_objects
from router_backend.gateway.batches.tidy import Tidy
from router_backend.gateway.batches.work import Work
from router_backend.gateway.router_host import RouterHost

if TYPE_CHECKING:
    from router_backend.gateway.metrics import Metrics


class Desk:
    """Files and batches of one process, and the runner that answers them."""

    def __init__(
        self,
        place: str,
        state_dir: Path,
        answering: Answering,
        host: RouterHost,
        config: Callable[[], RouterConfig],
        metrics: Metrics,
        failed: Failed,
    ) -> None:
        """`config`: the one in use. Raises ValueError: `place` can't be used."""
        self.objects = open_objects(place, state_dir)
        self.files, self.register = Files(self.objects), Register(self.objects)
        self._answering, self._config, self._metrics = answering, config, metrics
        tidy = Tidy(self.objects, self.files, self.register, lambda: config().batches)
        self.runner = Runner(self.register, tidy, host, self._work, self._ended, failed, metrics.batches_running)

    @property
    def config(self) -> RouterConfig:
        """The one in use."""
        return self._config()

    @property
    def endpoints(self) -> tuple[str, ...]:
        """That batches may be for."""
        return self._answering.endpoints

    async def begin(
        self, key: str, endpoint: str, input_file_id: str, output_seconds: int, metadata: dict[str, str] | None
    ) -> Batch:
        """A new batch, which is worked on as soon as there is room."""
        made = int(time.time())
        batch = Batch(
            id=shelves.new_id(BATCH),
            key=key,
            endpoint=endpoint,
            input_file_id=input_file_id,
            created_at=made,
            expires_at=made + WINDOW_SECONDS,
            output_seconds=output_seconds,
            metadata=metadata,
            output_file_id=shelves.new_id(FILE),
            error_file_id=shelves.new_id(FILE),
        )
        await self.register.add(batch)
        self.runner.call()
        return batch

    async def cancel(self, batch: Batch) -> Batch:
        """A batch that is being cancelled, unless it has come further meanwhile."""
        while batch.status in ("validating", "in_progress"):
            batch = await self.register.change(batch, "cancelling")
        self.runner.call()
        return batch

    async def user_of(self, owner: str, file_id: str) -> str | None:
        """A batch that hasn't ended and reads a file; None: there is none."""
        for batch_id in await self.register.waiting():
            if await self.register.owner(batch_id) == owner:
                batch = await self.register.find(owner, batch_id)
                if batch and not batch.ended and batch.input_file_id == file_id:
                    return batch_id
        return None

    def _work(self, batch: Batch) -> Work:
        return Work(
            self.objects,
            self.files,
            self.register,
            self._answering,
            self._config,
            batch,
            self._counted,
            self._ended_at_upstream,
        )

    def _counted(self, well: bool) -> None:
        self._metrics.batch_lines.labels("completed" if well else "failed").inc()

    def _ended_at_upstream(self, arm: str, how: str) -> None:
        self._metrics.upstream_batches.labels(arm, how).inc()

    def _ended(self, batch: Batch) -> None:
        self._metrics.batches.labels(batch.status).inc()
