"""A stream that is still being read from its upstream: time limits, failures, accounting."""

from __future__ import annotations

import asyncio
import logging
import time

from router_backend.config.limits import Timeouts
from router_backend.core.errors import INTERNAL_ERROR, OpenAIError, Verdict
from router_backend.core.jsonio import load
from router_backend.forwarding.failure import Failure, cut, timed_out, unusable
from router_backend.forwarding.lease import Lease
from router_backend.forwarding.stream.chunks import ChunkReader
from router_backend.forwarding.stream.native import NativeReader, NativeWhole
from router_backend.forwarding.stream.whole import WholeBuilder

_log = logging.getLogger(__name__)

MAX_HELD_BYTES = 1024 * 1024
"""Events without content that are held back before the first content; beyond, the stream begins."""
EVENTS_PER_TURN = 32
"""Events that are read in one turn of the loop."""
MAX_WHOLE_BYTES = 256 * 1024 * 1024
"""Events of an answer that is put together here."""


class LiveStream:
    """Reads one reply's chunks. `ended`: there are no more, well or by a failure."""

    def __init__(
        self, lease: Lease, reader: ChunkReader | NativeReader, timeouts: Timeouts, share: float = 1.0
    ) -> None:
        """`share`: part of the time left of `timeouts.total` that it may take; the rest is another arm's."""
        self.progress = lease.progress
        self.ended = False
        self._lease, self._reader, self._timeouts = lease, reader, timeouts
        loop_now = asyncio.get_running_loop().time()
        left = timeouts.total - (time.monotonic() - self.progress.started)
        self._part = left * share if share < 1 else None
        self._total = loop_now + left * share
        self._failure: Failure | None = None

    async def begin(self) -> list[bytes]:
        """Read until there is content, a finish reason or the end; the caller limits the time.

        Raises:
            Failure: the upstream failed first; nothing was handed out, so another call may be made.
        """
        held = await self._until_content()
        self.progress.first_token = time.monotonic() - self.progress.started
        self._lease.observer.first_token(self.progress.arm, self.progress.first_token)
        self._lease.permit.first_byte()
        if self.ended:
            self._lease.end(Verdict.WELL)
        return held

    async def _until_content(self) -> list[bytes]:
        held, size = [], 0
        while not self.ended:
            payloads = await self._read()
            held += payloads
            size += sum(map(len, payloads))
            if self._reader.content or self._reader.complete or size > MAX_HELD_BYTES:
                break
        self._lease.timing.first()
        return held

    async def first_of_whole(self, builder: WholeBuilder | NativeWhole) -> None:
        """As `begin`, for an answer that is handed out whole; `rest_of_whole` reads on.

        Raises:
            Failure: see `begin`.
        """
        for payload in await self._until_content():
            builder.add(load(payload))

    async def rest_of_whole(self, builder: WholeBuilder | NativeWhole) -> None:
        """Read to the end, within the limits `idle` and `total`.

        Raises:
            Failure: the upstream failed in the middle; the client has got nothing, so another call may be made.
        """
        size = 0
        while not self.ended:
            payloads = await self._within_limits()
            size += sum(map(len, payloads))
            if size > MAX_WHOLE_BYTES:
                raise unusable(self.progress.arm, f"an answer of more than {MAX_WHOLE_BYTES} bytes")
            for payload in payloads:
                builder.add(load(payload))

    async def next(self) -> list[bytes] | None:
        """The next chunks for the client; None after the end. A failure becomes the last one, OpenAI's error object."""
        return None if self.ended or not self._lease.open else await self._limited()

    async def _limited(self) -> list[bytes]:
        try:
            payloads = await self._within_limits()
        except Exception as error:
            if not self._lease.open:
                return []  # closed under us by `leave`
            return [self._failed(error if isinstance(error, Failure) else _own_fault(self.progress.arm, error))]
        if self.ended:
            self._lease.end(Verdict.WELL)
        return payloads

    async def _within_limits(self) -> list[bytes]:
        now = asyncio.get_running_loop().time()
        idle_ends = now + self._timeouts.idle
        try:
            async with asyncio.timeout_at(min(idle_ends, self._total)):
                return await self._read()
        except TimeoutError as error:
            limit = "idle" if idle_ends < self._total else "total"
            part = self._part if limit == "total" else None
            raise timed_out(limit, getattr(self._timeouts, limit), self.progress.arm, part) from error

    def leave(self) -> bool:
        """The client left: the upstream call is cancelled. Returns whether it was still running."""
        if not self._lease.open:
            return False
        self.progress.status = 499
        self.estimate()
        self._lease.end(Verdict.NOTHING)
        return True

    def _failed(self, failure: Failure) -> bytes:
        self.ended = True
        self.progress.error = failure.cause
        self.estimate()
        self._lease.observer.failed(self.progress.arm, failure.cause)
        self._lease.end(failure.cause.verdict)
        return failure.error.json()

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
            self.ended = True
            return []
        self._lease.observer.chunks(self.progress.arm, len(events))
        payloads = []
        for count, event in enumerate(events, 1):
            if count % EVENTS_PER_TURN == 0:
                await asyncio.sleep(0)  # a flood must not stall other requests
            try:
                payload = reader.take(event)
            except Failure as failure:
                self._failure = failure  # what came before it is the client's
                break
            if payload is not None:
                payloads.append(payload)
            if reader.done:
                self.ended = True
                break
        return payloads

    def estimate(self) -> None:
        """What was read so far stands for the usage, where that wasn't said."""
        self.progress.estimate(self._reader.content, self._reader.written)


def _own_fault(arm: str, error: Exception) -> Failure:
    """A defect of ours must not end a stream silently either. The message may quote the answer, so it isn't logged."""
    _log.error("reading an answer of %s failed with %s", arm, type(error).__name__)
    return Failure(INTERNAL_ERROR, OpenAIError(f"the router failed while it read the answer of {arm}", 500))
