"""One batch, from its check to its files, by the process that holds its lease. Every step may be done again by another one."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable

import msgspec

from router_backend.config.schema import RouterConfig
from router_backend.gateway.batches import shelves
from router_backend.gateway.batches.answering import Answering, Reply
from router_backend.gateway.batches.batchable import Batchable
from router_backend.gateway.batches.courier import Courier, Ended
from router_backend.gateway.batches.files import Files
from router_backend.gateway.batches.lines import Numbered, check, numbered, read_line
from router_backend.gateway.batches.parts import Parts
from router_backend.gateway.batches.record import Batch, Counts, LineError
from router_backend.gateway.batches.register import Register
from router_backend.gateway.batches.results import Answered, Known, Results, row
from router_backend.gateway.batches.storage.objects import Missing, Objects, ObjectsError

KEEP_SECONDS = 1.0  # that an answer waits for others, with which it is kept
LOOK_SECONDS = 2.0  # between two looks whether somebody has cancelled
_RETRY_SECONDS = 5.0
_MOST_UNKEPT = 200  # answers; no line begins while so many wait for the place
ATTEMPTS = 10
"""Of a line that fails for a reason that may pass; between two of them it waits up to `LONGEST_PAUSE`, doubled each time."""
LONGEST_PAUSE = 600.0
_LIMITED_PAUSE = 60.0  # a key's limits may be changed meanwhile
_PASSING = frozenset((408, 409, 429, 500, 502, 503, 504))
CANCELLED = ("batch_cancelled", "The batch was cancelled before this request was executed.")
_MISSING = LineError("input_file_missing", "The input file is gone", "input_file_id")
EXPIRED = ("batch_expired", "This request could not be executed before the completion window expired.")
_log = logging.getLogger("llm_router.gateway")

Counted = Callable[[bool], None]
"""Hears of each line that was answered, whether well."""


class Work:
    """On one batch. What it does is told by the batch's state alone."""

    def __init__(
        self,
        objects: Objects,
        files: Files,
        register: Register,
        answering: Answering,
        config: Callable[[], RouterConfig],
        batch: Batch,
        counted: Counted,
        ended: Ended,
    ) -> None:
        """`config`: the one in use; `ended` hears of batches at upstreams."""
        self._ended = ended
        self._files, self._register, self._answering, self._config = files, register, answering, config
        self._objects, self._counted = objects, counted
        self._owner = shelves.owner_of(batch.key)
        self.batch = batch

    async def run(self) -> Batch:
        """Until the batch has ended; returns how.

        Raises:
            ObjectsError: the place can't be used now; everything that was done stays done.
        """
        steps = {
            "validating": self._check,
            "in_progress": self._answer,
            "finalizing": self._finish,
            "cancelling": self._finish,
        }
        while not self.batch.ended:
            self.batch = await steps[self.batch.status]()
        return self.batch

    async def tidy(self) -> None:
        """What nobody needs after the end."""
        await self._courier(None).tidy()
        await self._results.forget()
        await self._register.over(self.batch.id)

    async def _check(self) -> Batch:
        batch, limits = self.batch, self._config().batches
        try:
            found = await check(self._lines(), batch.endpoint, limits.max_lines, self._config().gateway.max_body_bytes)
        except Missing:
            return await self._register.change(batch, "failed", errors=(_MISSING,))
        if found.errors:
            return await self._register.change(batch, "failed", errors=tuple(found.errors))
        return await self._register.change(batch, "in_progress", counts=Counts(found.total))

    async def _answer(self) -> Batch:
        """Answer the lines that have no answer, until all have one, the window is over or somebody cancels."""
        batch, results = self.batch, self._results
        known = await results.known()
        answering = asyncio.create_task(self._answer_lines(known))
        cancelled = asyncio.create_task(self._changed())
        try:
            left = max(0.0, batch.expires_at - time.time())
            done, _ = await asyncio.wait({answering, cancelled}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (answering, cancelled):
                task.cancel()
            ended = await asyncio.gather(answering, cancelled, return_exceptions=True)
        if cancelled in done:
            if isinstance(ended[1], Batch):
                return ended[1]
            cancelled.result()  # raises
        late, errors = answering not in done, batch.errors
        if late:
            await self._recall(known)
        else:
            try:
                answering.result()
            except Missing:
                errors = (_MISSING,)
        await results.seal(known.names)
        return await self._register.change(batch, "finalizing", late=late, errors=errors)

    async def _changed(self) -> Batch:
        """The batch, when another one has changed its state."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if found := await self._register.after(self.batch):
                return found

    async def _answer_lines(self, known: Known) -> None:
        """Adds to `known` what it answers. When it is cancelled, what is answered is kept first."""
        keeping = _Keeping(self._results, self._register, self.batch, known)
        keeper = asyncio.create_task(keeping.run())
        courier = self._courier(keeping)
        places = asyncio.Semaphore(self._config().batches.concurrency)
        running: set[asyncio.Task[None]] = set()

        def ended(task: asyncio.Task[None]) -> None:
            places.release()
            if not task.cancelled() and task.exception() is None:
                running.discard(task)

        async def begin(line: Numbered) -> None:
            courier.taken.add(line.number)
            await places.acquire()
            await keeping.room()
            _raise_first(keeper, *running, *courier.following)
            task = asyncio.create_task(self._answer_line(line, keeping, courier))
            running.add(task)
            task.add_done_callback(ended)

        try:
            await courier.begin(set(known.well))
            more = True
            while more:
                async for group in self._lines():
                    for line in group:
                        if line.number not in courier.taken:
                            await begin(line)
                    await courier.send(all=False)
                more = await self._some_come_back(running, courier, keeper)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            try:
                await courier.aclose()
            finally:
                keeping.close()
                await keeper

    @staticmethod
    async def _some_come_back(running: set[asyncio.Task[None]], courier: Courier, keeper: asyncio.Task[None]) -> bool:
        """Wait until lines come back from upstreams, or until all have an answer: False."""
        while running or courier.busy:
            await courier.send(all=not running)
            if courier.back:
                courier.back = False
                return True
            if tasks := {*running, *courier.following}:
                await asyncio.wait(tasks, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            _raise_first(keeper, *running, *courier.following)
            back = {task for task in courier.following if task.done()}
            courier.following -= back
            if back:
                return True
        return False

    async def _answer_line(self, line: Numbered, keeping: _Keeping, courier: Courier) -> None:
        request = read_line(line.text)
        body, attempts, plan = bytes(request.body), 0, courier.plan(line.number)
        batched = plan is None
        while True:
            reply = await self._answering.answer(self.batch.key, request.url, body, plan, batched)
            if isinstance(reply, Batchable):
                await courier.add(line.number, request, reply)
                return
            if reply.waits:
                await asyncio.sleep(min(_LIMITED_PAUSE, reply.retry_after or 1.0))
                continue
            attempts, plan = attempts + 1, None
            if reply.status not in _PASSING or attempts >= ATTEMPTS:
                break
            await asyncio.sleep(min(LONGEST_PAUSE, max(reply.retry_after or 0.0, 2.0 ** (attempts - 1))))
        self._keep(keeping, line.number, request.custom_id, reply)

    def _keep(self, keeping: _Keeping, number: int, custom_id: str, reply: Reply) -> None:
        well = reply.status == 200
        keeping.add(Answered(number, well, msgspec.Raw(row(custom_id, _response(reply), None))))
        self._counted(well)

    def _courier(self, keeping: _Keeping | None) -> Courier:
        async def keep(number: int, custom_id: str, reply: Reply) -> None:
            assert keeping
            await keeping.room()
            self._keep(keeping, number, custom_id, reply)

        parts = Parts(self._objects, self.batch)
        return Courier(parts, self.batch, self._answering, self._config, keep, self._ended)

    async def _recall(self, known: Known) -> None:
        """Cancel what is at upstreams; adds to `known` what they have answered."""
        keeping = _Keeping(self._results, self._register, self.batch, known)
        keeper = asyncio.create_task(keeping.run())
        try:
            await self._courier(keeping).recall(set(known.well))
        finally:
            keeping.close()
            await keeper

    async def _finish(self) -> Batch:
        batch = self.batch
        left = CANCELLED if batch.status == "cancelling" else EXPIRED
        if batch.status == "cancelling":
            known = await self._results.known()
            await self._recall(known)
            await self._results.seal(known.names)
        counts = await self._results.finish(self._lines, left)
        fields = {"counts": counts, "has_output": counts.completed > 0, "has_errors": counts.failed > 0}
        if batch.status == "cancelling":
            return await self._register.change(batch, "cancelled", **fields)
        return await self._register.change(batch, "expired" if batch.late else "completed", **fields)

    @property
    def _results(self) -> Results:
        return Results(self._objects, self._files, self.batch)

    def _lines(self) -> AsyncIterator[list[Numbered]]:
        content = self._files.content(self._owner, self.batch.input_file_id)
        return numbered(content, self._config().gateway.max_body_bytes)


class _Keeping:
    """Answers on their way to the place, some at a time."""

    def __init__(self, results: Results, register: Register, batch: Batch, known: Known) -> None:
        self._results, self._register, self._batch, self._known = results, register, batch, known
        self._answers: list[Answered] = []
        self._some, self._closed, self._kept = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def room(self) -> None:
        """Wait until not too many wait."""
        while len(self._answers) >= _MOST_UNKEPT:
            self._kept.clear()
            await self._kept.wait()

    def add(self, answer: Answered) -> None:
        self._answers.append(answer)
        self._some.set()

    def close(self) -> None:
        """`run` keeps what is left, and returns."""
        self._closed.set()
        self._some.set()

    async def run(self) -> None:
        while True:
            await self._some.wait()
            if not self._closed.is_set():
                await _either(self._closed, KEEP_SECONDS)
            self._some.clear()
            try:
                await self._keep(self._answers[:_MOST_UNKEPT])
            except ObjectsError as error:
                if self._closed.is_set():
                    raise
                _log.warning("answers of the batch %s wait: %s", self._batch.id, error)
                await _either(self._closed, _RETRY_SECONDS)
            self._kept.set()
            if self._answers:
                self._some.set()
            elif self._closed.is_set():
                return

    async def _keep(self, answers: list[Answered]) -> None:
        if not answers:
            return
        self._known.names.append(await self._results.add(answers))
        del self._answers[: len(answers)]
        for answer in answers:
            self._known.well.setdefault(answer.number, answer.well)
        await self._register.report(self._batch, self._known.counts(self._batch.counts.total))


async def _either(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


def _raise_first(*tasks: asyncio.Task[None]) -> None:
    """Raises what one of them has failed with."""
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()):
            raise error


def _response(reply: Reply) -> dict[str, object]:
    response: dict[str, object] = {
        "status_code": reply.status,
        "request_id": reply.request_id,
        "body": reply.body,
    }
    return response | {"router": reply.router} if reply.router else response
