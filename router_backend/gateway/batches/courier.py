"""Takes lines of one batch to models' own Batch APIs, follows them there, and brings their answers. What comes back without one
runs in idle capacity, by the decision that was made.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from router_backend.config.models import BatchConfig, ModelConfig
from router_backend.config.schema import RouterConfig
from router_backend.forwarding.upstreams.batches.api import BatchAPI, BatchAPIError, LineAnswer, RemoteBatch
from router_backend.forwarding.upstreams.batches.open import batch_api
from router_backend.gateway.batches.answering import Answering, Reply
from router_backend.gateway.batches.batchable import Batchable
from router_backend.gateway.batches.lines import Line
from router_backend.gateway.batches.parts import NO_FILE, Draft, Part, PartLine, Parts, Sent, plan_of
from router_backend.gateway.batches.record import Batch
from router_backend.gateway.keys.budgets import Hold
from router_backend.gateway.plan import Plan

GATHER_SECONDS = 60.0  # that a line waits for company at most
POLL_SECONDS = (5.0, 60.0)  # between two looks at the upstream's batch, doubled from the first to the second
PAUSES = (1.0, 300.0)  # after a failure, as well
CANCEL_SECONDS = 600.0
"""That an upstream has to end what is cancelled; OpenAI says ten minutes."""
_READS = 10  # tries to read what has been answered
_TIDY_SECONDS = 60.0
_log = logging.getLogger("llm_router.gateway")

Keep = Callable[[int, str, Reply], Awaitable[None]]
"""Takes the answer to a line, of this number and custom_id."""
Ended = Callable[[str, str], None]
"""Hears of each batch at an upstream that has ended: the model, and how."""


@dataclass(slots=True)
class _Gathered:
    draft: Draft
    plans: dict[int, Plan] = field(default_factory=dict)  # while there are too few of them
    since: float = field(default_factory=time.monotonic)


class Courier:
    """Of one batch, in one process."""

    def __init__(
        self,
        parts: Parts,
        batch: Batch,
        answering: Answering,
        config: Callable[[], RouterConfig],
        keep: Keep,
        ended: Ended,
    ) -> None:
        """`config`: the one in use."""
        self._parts, self._batch, self._answering, self._config = parts, batch, answering, config
        self._keep, self._ended = keep, ended
        self._gathered: dict[tuple[str, str], _Gathered] = {}
        self._gathering = asyncio.Lock()
        self._reading = asyncio.Lock()  # one part at a time is in memory
        self._plans: dict[int, Plan] = {}
        self._apis: dict[str, tuple[ModelConfig, BatchAPI]] = {}
        self._answered: set[int] = set()
        self.taken: set[int] = set()  # numbers of lines that are answered, or that somebody works on
        self.following: set[asyncio.Task[None]] = set()
        self.back = False  # whether lines came back that were never away

    async def begin(self, answered: set[int]) -> None:
        """Go on with what is at upstreams already. `answered`: numbers of lines that have an answer."""
        self._answered = set(answered)
        self.taken |= answered
        for part in await self._parts.all():
            if not self._answered.issuperset(part.numbers):
                self._follow(part, fresh=False)

    @property
    def busy(self) -> bool:
        """Whether lines are with it."""
        return bool(self._gathered or self.following)

    def plan(self, number: int) -> Plan | None:
        """That was made of a line which has come back; it doesn't go away again."""
        return self._plans.pop(number, None)

    async def add(self, number: int, line: Line, found: Batchable) -> None:
        """Take a line along, as soon as there are enough of them."""
        place, limits = (found.arm, found.endpoint), self._limits(found.arm)
        async with self._gathering:
            gathered = self._gathered.get(place)
            if gathered and gathered.draft.size + len(found.body) > limits.max_bytes:
                await self._send(place)
                gathered = None
            if gathered is None:
                gathered = self._gathered[place] = _Gathered(await self._parts.begin(*place))
            await gathered.draft.add(number, line, found)
            if len(gathered.draft.numbers) < self._least(found.arm):
                gathered.plans[number] = found.plan
            else:
                gathered.plans.clear()
            if len(gathered.draft.numbers) >= limits.max_lines:
                await self._send(place)

    async def send(self, *, all: bool) -> None:
        """What has been gathered. `all`: no more will come now; else only what has waited for long."""
        before = time.monotonic() - GATHER_SECONDS
        async with self._gathering:
            for place, found in list(self._gathered.items()):
                if all or (found.since <= before and len(found.draft.numbers) >= self._least(place[0])):
                    await self._send(place)

    async def recall(self, answered: set[int]) -> None:
        """Cancel all that is at upstreams, and take the answers that are there."""
        self._answered = set(answered)
        parts = [part for part in await self._parts.all() if not answered.issuperset(part.numbers)]
        bringing = (self._bring(part, fresh=False, until=0.0) for part in parts)
        for failed in await asyncio.gather(*bringing, return_exceptions=True):  # none goes on behind one that failed
            if isinstance(failed, BaseException):
                raise failed

    async def aclose(self) -> None:
        """Others may go on."""
        for task in self.following:
            task.cancel()
        await asyncio.gather(*self.following, return_exceptions=True)
        for gathered in self._gathered.values():
            await gathered.draft.drop()

    async def tidy(self) -> None:
        """Remove everything, at the upstreams as well."""
        parts = await self._parts.all()
        try:
            async with asyncio.timeout(_TIDY_SECONDS):
                for part in parts:
                    await self._remove_files(part)
        except (BatchAPIError, TimeoutError) as error:
            _log.warning("files of the batch %s stay at an upstream: %s", self._batch.id, error)
        await self._parts.forget()

    async def _send(self, place: tuple[str, str]) -> None:
        """Too few lines come back."""
        gathered = self._gathered.pop(place)
        if len(gathered.draft.numbers) >= self._least(place[0]):
            self._follow(await gathered.draft.finish(), fresh=True)
            return
        await gathered.draft.drop()
        self._plans |= gathered.plans
        self.taken -= gathered.plans.keys()
        self.back = True

    def _follow(self, part: Part, fresh: bool) -> None:
        self.taken.update(part.numbers)
        until = self._batch.created_at + 3600.0 * self._limits(part.arm).wait_hours
        self.following.add(asyncio.create_task(self._bring(part, fresh, until)))

    async def _bring(self, part: Part, fresh: bool, until: float) -> None:
        """Answers of one part; `until`: Unix seconds that the upstream has for it."""
        held = self._answering.hold(self._batch.key, part.usd)
        try:
            remote = await self._end(part, fresh, until, held)
            left = set(part.numbers) - self._answered
            async with self._reading:
                lines = await self._parts.lines(part)
                if remote and remote.answers:
                    await self._read(part, remote.answers, lines, left)
                if part.arm in self._config().names:
                    self._plans |= {number: plan_of(lines[number]) for number in left if number in lines}
        finally:
            held.release()
        self._ended(part.arm, remote.status if remote else "lost")
        if left:
            _log.info("%d of %d lines come back from %s", len(left), len(part.numbers), part.arm)
        self.taken -= left

    async def _end(self, part: Part, fresh: bool, until: float, held: Hold) -> RemoteBatch | None:
        """The upstream's batch when it has ended. None: there is none, or it isn't known any more."""
        cancelled, pause, failed = 0.0, POLL_SECONDS[0], PAUSES[0]
        while (api := self._api(part.arm)) is not None:
            late = time.time() >= until
            held.renew()
            try:
                remote = await self._look(api, part, fresh, create=not late)
                if remote is None or remote.ended:
                    if remote and remote.causes:
                        _log.warning("%s: the batch has failed: %s", part.arm, remote.causes)
                    return remote
                if late and not cancelled:
                    cancelled, pause = time.monotonic(), POLL_SECONDS[0]
                if late and remote.status != "cancelling":
                    with contextlib.suppress(BatchAPIError):  # it may have ended meanwhile; if not, once more
                        await api.cancel(remote.id)
                wait, pause, failed = pause, min(POLL_SECONDS[1], 2 * pause), PAUSES[0]
            except BatchAPIError as error:
                if not error.passing:
                    _log.warning("lines of the batch %s come back: %s", self._batch.id, error)
                    return None
                _log.warning("lines of the batch %s wait: %s", self._batch.id, error)
                wait, failed = max(failed, error.retry_after or 0.0), min(PAUSES[1], 2 * failed)
                cancelled = cancelled or (time.monotonic() if late else 0.0)
            fresh = False
            if cancelled and time.monotonic() > cancelled + CANCEL_SECONDS:
                _log.warning("%s has not ended a batch that was cancelled: its answers are not waited for", part.arm)
                return None
            await asyncio.sleep(wait if late else max(0.0, min(wait, until - time.time())))
        return None

    async def _look(self, api: BatchAPI, part: Part, fresh: bool, create: bool) -> RemoteBatch | None:
        """The upstream's batch, which is made where there is none. `fresh`: nobody can have made one."""
        sent = await self._parts.sent(part)
        if sent is None:
            found = await self._find_or_create(api, part, fresh, create)
            if found is None:
                return None
            sent = await self._parts.say_sent(part, Sent(found.id))
            if sent.batch_id != found.id:  # its list had not shown the other one
                await api.cancel(found.id)
        return await api.retrieve(sent.batch_id)

    async def _find_or_create(self, api: BatchAPI, part: Part, fresh: bool, create: bool) -> RemoteBatch | None:
        """See `upstreams.batches.api` for why a batch is paid once. None: there is none, and there won't be."""
        while True:
            tried = [] if fresh else await self._parts.tried(part)
            if found := None if fresh else await api.find(part.name):
                return found
            if tried:
                if tried[-1] == NO_FILE:
                    return None
                await api.close(tried[-1])  # whoever noted it may be about to make a batch of it, or has just made one
                if found := await api.find(part.name):
                    return found
            fresh = False
            if not create:
                if await self._parts.try_with(part, len(tried), NO_FILE):
                    return None
                continue
            file_id = await api.upload(f"{part.name}.jsonl", part.size, lambda: self._parts.rows(part))
            if not await self._parts.try_with(part, len(tried), file_id):  # another process, which takes us for dead
                await api.close(file_id)
                continue
            try:
                return await api.create(file_id, part.endpoint, part.name)
            except BatchAPIError:
                if len(await self._parts.tried(part)) == len(tried) + 1:
                    raise
                # Another process has closed our file, and goes on.

    async def _read(self, part: Part, place: str, lines: dict[int, PartLine], left: set[int]) -> None:
        """Keep the answers that are there; `left` becomes what it doesn't."""
        pause = PAUSES[0]
        for _ in range(_READS):
            api = self._api(part.arm)
            try:
                if api:
                    async with contextlib.aclosing(api.answers(place)) as found:
                        async for answer in found:
                            await self._take(part, answer, lines, left)
                return
            except BatchAPIError as error:
                _log.warning("answers of the batch %s: %s", self._batch.id, error)
                if not error.passing:
                    return
                await asyncio.sleep(max(pause, error.retry_after or 0.0))
                pause = min(PAUSES[1], 2 * pause)

    async def _take(self, part: Part, found: LineAnswer, lines: dict[int, PartLine], left: set[int]) -> None:
        line, batch = lines.get(found.number), self._batch
        if found.number not in left or line is None:
            return
        reply = await self._answering.settle(
            batch.key, batch.endpoint, bytes(line.body), plan_of(line), found.body, part.endpoint
        )
        if reply and reply.status == 200:
            await self._keep(found.number, line.custom_id, reply)
            left.discard(found.number)

    async def _remove_files(self, part: Part) -> None:
        api, sent = self._api(part.arm), await self._parts.sent(part)
        if api and sent:
            await api.remove(sent.batch_id)
        elif api:
            for file_id in (await self._parts.tried(part))[-1:]:
                if file_id != NO_FILE:
                    await api.close(file_id)

    def _limits(self, arm: str) -> BatchConfig:
        config = self._config()
        return (config.model(arm).batch if arm in config.names else None) or BatchConfig()

    def _least(self, arm: str) -> int:
        config = self._config()
        return config.model(arm).least_batched if arm in config.names else 1

    def _api(self, arm: str) -> BatchAPI | None:
        config = self._config()
        model = config.model(arm) if arm in config.names else None
        known = self._apis.get(arm)
        if known and model == known[0]:
            return known[1]
        try:
            found = batch_api(model, config.timeouts.connect) if model else None
        except ValueError as error:
            _log.error("%s: %s", arm, error)
            return None
        if model and found:
            self._apis[arm] = (model, found)
        return found
