"""Requests for the engine, and what came back of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from router_backend.core.errors import Attempt
from router_backend.forwarding.answers import Answer, StreamedAnswer
from router_backend.forwarding.request import Endpoint, ForwardRequest


def ask(
    *arms: str,
    stream: bool = False,
    named: bool = False,
    task: str = "",
    client: str = "",
    endpoint: Endpoint = "chat/completions",
    **body: Any,
) -> ForwardRequest:
    """A chat request for `arms`, best first."""
    fields = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], **body}
    if stream:
        fields["stream"] = True
    return ForwardRequest(
        body=fields, arms=arms, named=named, task=task, client=client, endpoint=endpoint, request_id="req-1"
    )


async def payloads(answer: Answer) -> list[Any]:
    """All data of a stream's frames, parsed; [DONE] stays a string."""
    assert isinstance(answer, StreamedAnswer)
    raw = b"".join([piece async for piece in answer.frames()])
    assert raw.endswith(b"\n\n")
    data = [frame.removeprefix(b"data: ") for frame in raw[:-2].split(b"\n\n")]
    return ["[DONE]" if item == b"[DONE]" else orjson.loads(item) for item in data]


def text_of(chunks: list[Any]) -> str:
    """The content of all chunks."""
    choices = [choice for chunk in chunks if isinstance(chunk, dict) for choice in chunk.get("choices", [])]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


async def answer_text(answer: Answer) -> str:
    """What an answer says, whole or streamed."""
    if isinstance(answer, StreamedAnswer):
        return text_of(await payloads(answer))
    content: str = orjson.loads(answer.body)["choices"][0]["message"]["content"]
    return content


def labels(attempts: Sequence[Attempt]) -> tuple[str, ...]:
    """Attempts as logs show them."""
    return tuple(map(str, attempts))
