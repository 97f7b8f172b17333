"""One answer of Bedrock under way."""

from __future__ import annotations

import asyncio

from router_backend.core.jsonio import dump, load
from router_backend.forwarding.failure import Failure, cut, unusable
from router_backend.forwarding.upstreams.bedrock.chunks import MALFORMED, ChunkWriter, whole
from router_backend.forwarding.upstreams.bedrock.failures import failure_of
from router_backend.forwarding.upstreams.bedrock.frames import Event, FrameError, Frames
from router_backend.forwarding.upstreams.http import MAX_BODY_BYTES, HTTPReply


class BedrockReply:
    """See `Reply`. The HTTP answer is `http`'s; this one reads Converse out of it."""

    def __init__(self, arm: str, http: HTTPReply) -> None:
        self._arm, self._http = arm, http
        self._frames, self._chunks = Frames(), ChunkWriter(arm)
        self._failure: Failure | None = None
        self._ended = False  # the model's last event but the usage

    async def body(self) -> bytes:
        """See `Reply.body`."""
        data = await self._http.body(MAX_BODY_BYTES)
        try:
            answer = load(data)
        except ValueError as error:
            raise unusable(self._arm, "a body that is not JSON") from error
        body = whole(self._arm, answer) if isinstance(answer, dict) else None
        if body is None:
            raise unusable(self._arm, "a body without output.message.content")
        self._check_reason(answer.get("stopReason"))
        return dump(body)

    async def events(self) -> list[bytes]:
        """See `Reply.events`."""
        if self._failure:
            raise self._failure
        chunks: list[bytes] = []
        while not chunks:
            data = await self._http.read()
            if not data:
                if self._frames.pending:
                    raise cut(self._arm)
                return []
            try:
                for event in self._frames.feed(data):
                    chunks += self._take(event)
            except FrameError as error:
                self._failure = unusable(self._arm, str(error))
            except Failure as failure:
                self._failure = failure
            if self._failure and not chunks:
                raise self._failure  # what came before it is the client's
            await asyncio.sleep(0)  # what has been read already comes without a pause, and others wait
        return chunks

    def _take(self, event: Event) -> list[bytes]:
        if event.failed:
            raise failure_of(self._arm, event.name, event.fields)
        match event.name:
            case "messageStart":
                return [self._chunks.begin()]
            case "contentBlockStart":
                return self._chunks.start(event.fields)
            case "contentBlockDelta":
                return self._chunks.delta(event.fields)
            case "contentBlockStop":
                return self._chunks.stop(event.fields)
            case "messageStop":
                self._check_reason(event.fields.get("stopReason"))
                return [self._chunks.finish(event.fields)]
            case "metadata":
                return self._chunks.usage(event.fields)
        return []  # events that a later release may bring

    def _check_reason(self, reason: object) -> None:
        if reason in MALFORMED:
            raise unusable(self._arm, f"the model ended with {reason}")

    def finish(self) -> None:
        """See `Reply.finish`."""
        self._http.finish()

    def cancel(self) -> None:
        """See `Reply.cancel`."""
        self._http.cancel()
