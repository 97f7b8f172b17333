"""Scores that the gateway found by itself, on their way to Triton's `feedback` model: in groups, and not for ever."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable

from router_backend.core.background import Failed, kept
from router_backend.core.records import Feedback
from router_backend.gateway.router_host import HostError, RouterHost

_CAPACITY = 10_000
_GROUP = 256
_CALL_SECONDS = 5.0
_PAUSE = 2.0  # seconds between tries
_LINGER = 0.05  # that a group waits for company
_log = logging.getLogger("llm_router.gateway")


class ScoreQueue:
    """While Triton is down scores wait; the oldest are dropped. Whatever can't be sent is dropped and counted."""

    def __init__(
        self,
        router: RouterHost,
        on_drop: Callable[[int], None],
        capacity: int = _CAPACITY,
        on_failure: Failed | None = None,
    ) -> None:
        """`on_failure` hears of errors that are ours."""
        self._on_failure = on_failure
        self._router, self._on_drop, self._capacity = router, on_drop, capacity
        self._waiting: deque[Feedback] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Send from now on, on the running loop."""
        self._task = asyncio.create_task(kept("scores", self._run, self._on_failure))

    def add(self, score: Feedback) -> None:
        """Queue an implicit score."""
        self._waiting.append(score)
        if len(self._waiting) > self._capacity:
            self._waiting.popleft()
            self._on_drop(1)
        self._wake.set()

    async def aclose(self, seconds: float = 2.0) -> None:
        """Send what waits, if Triton takes it at once, and stop."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        with contextlib.suppress(HostError, TimeoutError):
            async with asyncio.timeout(seconds):
                while self._waiting:
                    await self._send_group()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(_LINGER)
            while self._waiting:
                try:
                    await self._send_group()
                except HostError as error:
                    _log.debug("scores wait: %s", error)
                    await asyncio.sleep(_PAUSE)
            self._wake.clear()

    async def _send_group(self) -> None:
        """Raises HostError when Triton can't take them now; they wait again."""
        group = [self._waiting.popleft() for _ in range(min(_GROUP, len(self._waiting)))]
        try:
            await self._router.report_scores(group, _CALL_SECONDS)
        except HostError as error:
            if error.code == "INVALID_ARGUMENT":  # of an older release, for one
                _log.error("Triton refuses scores: %s", error.message)
                self._on_drop(len(group))
                return
            self._put_back(group)
            raise
        except asyncio.CancelledError:
            self._put_back(group)  # twice, should the call have come through: a decision keeps one score
            raise
        except Exception:  # they can't be written down
            self._on_drop(len(group))
            raise

    def _put_back(self, group: list[Feedback]) -> None:
        self._waiting.extendleft(reversed(group))
        while len(self._waiting) > self._capacity:
            self._waiting.popleft()
            self._on_drop(1)
