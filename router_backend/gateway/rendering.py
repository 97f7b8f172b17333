"""An answer in the words of the API that its client speaks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from router_backend.core.jsonio import dump, load
from router_backend.forwarding.answers import StreamedAnswer, WholeAnswer
from router_backend.gateway.request import CompletionRequest
from router_backend.gateway.surfaces.surface import Events, Fields

_END = b"data: [DONE]\n\n"


def whole(answer: WholeAnswer, request: CompletionRequest) -> bytes:
    """The body of an answer that isn't streamed."""
    codec = request.surface.codec
    return dump(codec.answer(load(answer.body), request.asked)) if codec else answer.body


async def pieces(answer: StreamedAnswer, request: CompletionRequest) -> AsyncIterator[tuple[bytes, bool]]:
    """Frames of a stream, one or several a piece, and whether the piece is the last one."""
    codec = request.surface.codec
    if codec:
        async for piece in _events(answer, codec.events(request.asked, answer.progress.arm)):
            yield piece
        return
    async for frames in answer.frames():
        last = frames.endswith(_END)
        yield frames, last
        if last:
            return
    yield b"", True


async def _events(answer: StreamedAnswer, events: Events) -> AsyncIterator[tuple[bytes, bool]]:
    begun = [*events.begin()]
    async for payloads in answer.payloads():
        made, begun = begun, []
        for payload in payloads:
            chunk = load(payload)
            if chunk.get("error"):
                yield _frames([*made, *events.failed(chunk["error"])]), True
                return
            made += events.add(chunk)
        if answer.ended and not answer.progress.error:
            yield _frames([*made, *events.end()]), True
            return
        if made:
            yield _frames(made), False


def _frames(events: Iterable[Fields]) -> bytes:
    return b"".join(b"event: " + event["type"].encode() + b"\ndata: " + dump(event) + b"\n\n" for event in events)
