"""What a Responses request must look like; items are read by the codec, which names what it can't translate."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec


class Responses(msgspec.Struct, kw_only=True):
    """POST /v1/responses (https://platform.openai.com/docs/api-reference/responses/create)."""

    ITEMS: ClassVar = ("input", dict[str, Any])
    model: str
    input: str | list[dict[str, Any]]
    include: list[str] | None = None
    instructions: str | None = None
    max_output_tokens: int | None = None
    metadata: dict[str, str] | None = None
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    reasoning: dict[str, Any] | None = None
    store: bool | None = None
    stream: bool | None = None
    temperature: float | None = None
    text: dict[str, Any] | None = None
    tool_choice: str | dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    top_logprobs: int | None = None
    top_p: float | None = None
    user: str | None = None
