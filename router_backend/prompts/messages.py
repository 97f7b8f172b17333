"""OpenAI chat messages to the text that is classified.

The turn that is to be answered decides the task, so the last user turn comes alone; only one that says next to nothing
by itself ("go on", "続けて") gets the user turn before it as context.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# A turn of at most so many characters can't be classified by itself.
_NEEDS_CONTEXT = 6


class BadRequest(ValueError):
    """A request that can't be read; the message says which part and what to send instead."""


def text_of(content: object) -> str:
    """Text of a message's `content`: a string, null, or an array of parts of any type (text parts count, in order)."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        return "\n".join(_part_text(part) for part in content if _part_text(part))
    raise BadRequest("messages[].content must be a string, null or an array of content parts")


def _part_text(part: object) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Mapping):
        text = part.get("text")
        return text if isinstance(text, str) else ""
    return ""


def routing_text(messages: Sequence[Mapping[str, Any]]) -> str:
    """The text to classify: the last user turn, or what comes nearest where there is none.

    Raises:
        BadRequest: no messages, or a message that isn't an object.
    """
    if not messages or not all(isinstance(message, Mapping) for message in messages):
        raise BadRequest("messages must be a non-empty array of message objects")
    turns = [
        text for message in messages if message.get("role") == "user" and (text := text_of(message.get("content")))
    ]
    if not turns:
        texts = (text_of(message.get("content")) for message in reversed(messages))
        return next((text for text in texts if text), "")
    if len(turns[-1].strip()) <= _NEEDS_CONTEXT and len(turns) > 1:
        return f"{turns[-1]}\n{turns[-2]}"
    return turns[-1]
