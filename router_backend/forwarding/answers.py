"""Answers under way: the accounting of one call, and its bytes for the caller."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator

from router_backend.config.limits import Timeouts
from router_backend.core.errors import INTERNAL_ERROR, OpenAIError, Verdict
from router_backend.core.records import Usage
from router_backend.forwarding.failure import Failure, cut, timed_out
from router_backend.forwarding.guards.breaker import Permit
from router_backend.forwarding.guards.limiter import Slot
from router_backend.forwarding.observer import Observer
from router_backend.forwarding.request import Progress
from router_backend.forwarding.stream.chunks import ChunkReader
from router_backend.forwarding.stream.sse import DONE, frame
from router_backend.forwarding.upstreams.upstream import Reply

_log = logging.getLogger(__name__)

MAX_HELD_BYTES = 1024 * 1024
"""Events without content that are held back before the first content; beyond, the stream begins."""


class Lease:
    """What one call holds of its arm: a slot, the breaker's permit, the upstream's reply. Given back once."""

    def __init__(self, progress: Progress, slot: Slot, permit: Permit, observer: Observer, streamed: bool) -> None:
        self.progress, self.permit, self.observer = progress, permit, observer
        self.reply: Reply | None = None
        self._slot, self._streamed = slot, streamed
        self.open = True

    def drop(self, verdict: Verdict) -> None:
        """The call failed before the first byte, or was cancelled there: no answer, so nothing is told of its end."""
        if self.open:
            self.open = False
            self.permit.settle(verdict)
            self._slot.release()
            if self.reply:
                self.reply.cancel()

    def end(self, verdict: Verdict) -> None:
        """The answer ended: complete (WELL), by a failure, or left by the client (NOTHING)."""
        if self.open:
            if verdict is Verdict.WELL and self.reply:
                self.reply.finish()
            self.progress.latency = time.monotonic() - self.progress.started
            self.drop(verdict)
            self.observer.ended(self.progress, self._streamed)


class WholeAnswer:
    """An answer that isn't streamed; it ended before it was handed out."""

    streamed = False

    def __init__(self, progress: Progress, body: bytes) -> None:
        self.progress, self._body = progress, body

    async def body(self) -> bytes:
        """See `Answer.body`."""
        return self._body

    async def frames(self) -> AsyncIterator[bytes]:
        """Not streamed: there are none; see `body`."""
        nothing: tuple[bytes, ...] = ()
        for piece in nothing:
            yield piece

    chunks = frames

    async def aclose(self) -> None:
        """Nothing runs any more."""


def _own_fault(arm: str, error: Exception) -> Failure:
    """A defect of ours must not end a stream silently either. The message may quote the answer, so it isn't logged."""
    _log.error("reading an answer of %s failed with %s", arm, type(error).__name__)
    return Failure(INTERNAL_ERROR, OpenAIError(f"the router failed while it read the answer of {arm}", 500))


class StreamedAnswer:
    """A stream whose first content has arrived. One consumer; `aclose` from any task of the loop ends it."""

    streamed = True

    def __init__(self, lease: Lease, reader: ChunkReader, timeouts: Timeouts) -> None:
        self.progress = lease.progress
        self._lease, self._reader, self._timeouts = lease, reader, timeouts
        loop_now = asyncio.get_running_loop().time()
        self._total = loop_now + timeouts.total - (time.monotonic() - self.progress.started)
        self._held: list[bytes] | None = []
        self._failure: Failure | None = None
        self._ended = False

    async def prime(self) -> None:
        """Read until there is content, a finish reason or the end; the caller limits the time.

        Raises:
            Failure: the upstream failed first; nothing was handed out, so another call may be made.
        """
        held, size = [], 0
        while not self._ended:
            pieces = await self._read()
            held += pieces
            size += sum(map(len, pieces))
            if self._reader.content or self._reader.complete or size > MAX_HELD_BYTES:
                break
        self._held = held
        self.progress.first_token = time.monotonic() - self.progress.started
        self._lease.observer.first_token(self.progress.arm, self.progress.first_token)
        self._lease.permit.first_byte()
        if self._ended:
            self._lease.end(Verdict.WELL)

    async def body(self) -> bytes:
        """Streamed: there is none."""
        raise TypeError("the answer is streamed; use frames() or chunks()")

    async def frames(self) -> AsyncIterator[bytes]:
        """See `Answer.frames`. [DONE] comes in the last piece, after the accounting: SDKs close at it."""
        try:
            while (payloads := await self._next()) is not None:
                if self._ended and not self.progress.error:
                    payloads.append(DONE)
                if payloads:
                    yield frame(payloads)
        finally:
            await self.aclose()

    async def chunks(self) -> AsyncIterator[bytes]:
        """See `Answer.chunks`."""
        try:
            while (payloads := await self._next()) is not None:
                for payload in payloads:
                    yield payload
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """See `Answer.aclose`. What is known of the usage is kept."""
        if self._lease.open:
            self._held = None
            self.progress.status = 499
            self._estimate()
            self._lease.end(Verdict.NOTHING)

    async def _next(self) -> list[bytes] | None:
        """The next chunks for the client; None after the end."""
        if self._held is not None:
            held, self._held = self._held, None
            return held
        if self._ended or not self._lease.open:
            return None
        return await self._guarded()

    async def _guarded(self) -> list[bytes]:
        """`_read` within the limits; a failure becomes the last payload, OpenAI's error object."""
        now = asyncio.get_running_loop().time()
        idle_ends = now + self._timeouts.idle
        try:
            try:
                async with asyncio.timeout_at(min(idle_ends, self._total)):
                    payloads = await self._read()
            except TimeoutError as error:
                limit = "idle" if idle_ends < self._total else "total"
                raise timed_out(limit, getattr(self._timeouts, limit), self.progress.arm) from error
        except Exception as error:
            if not self._lease.open:
                return []  # closed under us by `aclose`
            failure = error if isinstance(error, Failure) else _own_fault(self.progress.arm, error)
            self._ended = True
            self.progress.error = failure.cause
            self._estimate()
            self._lease.observer.failed(self.progress.arm, failure.cause)
            self._lease.end(failure.cause.verdict)
            return [failure.error.json()]
        if self._ended:
            self._lease.end(Verdict.WELL)
        return payloads

    async def _read(self) -> list[bytes]:
        """The chunks for the client of one read.

        Raises:
            Failure: the upstream failed, or the stream ended without an end.
        """
        reply, reader = self._lease.reply, self._reader
        assert reply is not None
        if self._failure:
            raise self._failure
        events = await reply.events()
        if not events:
            if not reader.complete:
                raise cut(self.progress.arm)
            self._ended = True
            return []
        self._lease.observer.chunks(self.progress.arm, len(events))
        payloads = []
        for event in events:
            try:
                payload = reader.take(event)
            except Failure as failure:
                self._failure = failure  # what came before it is the client's
                break
            if payload is not None:
                payloads.append(payload)
            elif reader.done:
                self._ended = True
                break
        return payloads

    def _estimate(self) -> None:
        """Without the usage chunk, content chunks stand for tokens; `usage_known` stays false."""
        if not self.progress.usage_known:
            self.progress.usage = Usage(completion=self._reader.content)
