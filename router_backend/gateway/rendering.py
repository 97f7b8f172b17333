"""An answer in the words of the API that its client speaks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from router_backend.core.jsonio import dump, load
from router_backend.core.large import off_loop
from router_backend.forwarding.answers import StreamedAnswer, WholeAnswer
from router_backend.gateway.request import CompletionRequest
from router_backend.gateway.surfaces.surface import Events, Fields

_END = b"data: [DONE]\n\n"


async def whole(answer: WholeAnswer, request: CompletionRequest) -> bytes:
    """The body of an answer that isn't streamed."""
    if request.surface.codec is None or (answer.native and not request.keeping):
        return answer.body
    made = await off_loop(len(answer.body), _translated, answer, request)
    if request.keeping:
        made = await request.keeping.whole(made)
    return await off_loop(len(answer.body), dump, made)


def _translated(answer: WholeAnswer, request: CompletionRequest) -> Fields:
    codec, made = request.surface.codec, load(answer.body)
    return made if codec is None or answer.native else codec.answer(made, request.asked)


async def pieces(answer: StreamedAnswer, request: CompletionRequest) -> AsyncIterator[tuple[bytes, bool]]:
    """Frames of a stream, one or several a piece, and whether the piece is the last one."""
    codec = request.surface.codec
    if codec:
        events = codec.events(request.asked, answer.progress.arm)
        async for made, last in _passed_on(answer, events) if answer.native else _events(answer, events):
            yield _frames(await request.keeping.events(made) if request.keeping else made), last
        return
    async for frames in answer.frames():
        last = frames.endswith(_END)
        yield frames, last
        if last:
            return
    yield b"", True


async def _events(answer: StreamedAnswer, events: Events) -> AsyncIterator[tuple[list[Fields], bool]]:
    begun = [*events.begin()]
    async for payloads in answer.payloads():
        made, begun = begun, []
        for payload in payloads:
            chunk = load(payload)
            if chunk.get("error"):
                yield [*made, *events.failed(chunk["error"])], True
                return
            made += events.add(chunk)
        if answer.ended and not answer.progress.error:
            yield [*made, *events.end()], True
            return
        if made:
            yield made, False


async def _passed_on(answer: StreamedAnswer, events: Events) -> AsyncIterator[tuple[list[Fields], bool]]:
    """An upstream's own events; `events`: for the end of an answer that fails."""
    sequence, response = -1, None
    async for payloads in answer.payloads():
        made: list[Fields] = []
        for payload in payloads:
            event = load(payload)
            if "type" not in event:  # the engine's own error
                ends = [*events.failed(event["error"])]
                for end in ends:
                    if "sequence_number" in end:
                        sequence += 1
                        end["sequence_number"] = sequence
                        end["response"]["id"] = response or end["response"]["id"]
                yield [*made, *ends], True
                return
            sequence = event.get("sequence_number", sequence)
            response = (event.get("response") or {}).get("id", response)
            made.append(event)
        yield made, answer.ended
        if answer.ended:
            return


def _frames(events: Iterable[Fields]) -> bytes:
    return b"".join(b"event: " + event["type"].encode() + b"\ndata: " + dump(event) + b"\n\n" for event in events)
