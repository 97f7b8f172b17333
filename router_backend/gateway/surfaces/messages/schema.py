"""What a Messages request must look like; blocks are read by the codec, which names what it can't translate."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec


class Message(msgspec.Struct):
    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class Block(msgspec.Struct):
    type: str
    text: str | None = None


class Messages(msgspec.Struct, kw_only=True):
    """POST /v1/messages (https://docs.anthropic.com/en/api/messages)."""

    ITEMS: ClassVar = ("messages", Message)
    model: str
    messages: list[Message]
    max_tokens: int | None = None  # Anthropic demands it; /v1/messages/count_tokens has none
    system: str | list[Block] | None = None
    metadata: dict[str, str | None] | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None
