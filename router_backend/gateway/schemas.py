"""What a request must look like. Only types are checked, unknown fields are let through: the raw body is forwarded.

Values are the upstream's to judge (a temperature of 3 is fine for some servers); a wrong type is nobody's.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import msgspec
import orjson

from router_backend.core.large import Body
from router_backend.core.unread import UnreadList
from router_backend.gateway.http.errors import ApiError
from router_backend.gateway.large_bodies import LARGE, deeper_than, read_fields

MAX_VALUES = 1_000_000  # of any kind; OpenAI takes 300,000 token ids in one request for embeddings
MAX_FIELDS = 200_000  # objects, lists and fields of objects: each costs some hundred bytes of memory
MAX_DEPTH = 100  # orjson writes at most 254 levels; nothing that is meant comes near


class StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class Sampled(msgspec.Struct, kw_only=True):
    """Fields that chats and text completions share."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    n: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    logit_bias: dict[str, float] | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None


class ChatMessage(msgspec.Struct):
    """Content is text, any list of parts, or null (an assistant's with tool calls). Roles are the model's to judge."""

    role: str
    content: str | list[ContentPart] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None


class Chat(Sampled, kw_only=True):
    """POST /v1/chat/completions (https://platform.openai.com/docs/api-reference/chat/create)."""

    ITEMS: ClassVar = ("messages", ChatMessage)
    messages: list[ChatMessage]
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: list[Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: str | None = None


class ContentPart(msgspec.Struct):
    """A part of any type; of text parts the text must be text."""

    type: str
    text: str | None = None


class ToolCall(msgspec.Struct):
    id: str | None = None
    type: str | None = None
    function: dict[str, Any] | None = None


class Tool(msgspec.Struct):
    type: str
    function: dict[str, Any] | None = None


class Completion(Sampled, kw_only=True):
    """POST /v1/completions."""

    prompt: str | list[str | int | list[int]]
    best_of: int | None = None
    echo: bool | None = None
    suffix: str | None = None
    logprobs: int | None = None


class Embedding(msgspec.Struct):
    """POST /v1/embeddings."""

    model: str
    input: str | list[str | int | list[int]]
    dimensions: int | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None


class Route(msgspec.Struct):
    """POST /v1/route: the parts of a chat request that a decision depends on."""

    ITEMS: ClassVar = ("messages", ChatMessage)
    messages: list[ChatMessage]
    model: Literal["auto"] | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    tools: list[Tool] | None = None
    response_format: dict[str, Any] | None = None


class FeedbackBody(msgspec.Struct):
    """POST /v1/feedback."""

    decision_id: str
    score: float
    cost_usd: float | None = None
    task: str | None = None
    tags: dict[str, Any] | None = None


Shape = type[msgspec.Struct]
"""`ITEMS`, where a shape has it: the field that is a list of any length, and what its items are."""
_OUR_WORDS: tuple[Shape, ...] = (Chat, Completion, Embedding, Route)
"""Shapes of bodies that are the internal request, so that what we don't ask for need not be read."""
_SPEAKERS = ("user", "system", "developer")  # who say nothing but their content
_FIELDS = (b"{", b"[", b":")
_LEAST_TOO_MANY = min(MAX_VALUES, MAX_FIELDS)
_TEXT = re.compile(rb'(?:[^"\\]{1,1000}+|\\.){0,5000}+', re.DOTALL)  # in pieces: others wait while one is matched


def parse(raw: Body, shape: Shape, model: str = "") -> dict[str, Any]:
    """The body as it was sent, once it has been seen to be JSON of that shape. `model`: the one that its address names.

    Raises:
        ApiError: 400 with the place of the mistake in `param`; no value of the body is repeated in the message.
    """
    # A value and a field take a byte each, so that a short body needs no counting.
    if len(raw) > _LEAST_TOO_MANY:
        if _too_many(raw):
            limits = f"{MAX_VALUES:,} values or {MAX_FIELDS:,} objects, lists and fields"
            raise ApiError(400, f"The request body holds more than {limits}", code="request_too_complex")
        if len(raw) > LARGE and (found := _large(raw, shape, model)):
            return found
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        reason = f"{error.msg}: line {error.lineno} column {error.colno}"
        raise ApiError(400, f"The request body is not valid JSON ({reason})", code="invalid_json") from None
    if not isinstance(body, dict):
        raise ApiError(400, "The request body must be a JSON object", code="invalid_type")
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _deeper_than(body, MAX_DEPTH):
        raise ApiError(400, f"The request body is nested more than {MAX_DEPTH} levels deep", code="invalid_json")
    if model:
        body["model"] = model
    try:
        msgspec.convert(body, shape)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    if not body.get("messages", True):
        raise ApiError(400, "'messages' must hold at least one message", code="invalid_value", param="messages")
    for at, message in enumerate(body.get("messages", ())):
        if message["role"] in _SPEAKERS and ("content" not in message or message["content"] is None):
            param = f"messages[{at}].content"
            raise ApiError(400, f"{param!r} must be text or a list of parts", code="invalid_type", param=param)
    return body


def _large(raw: Body, shape: Shape, model: str) -> dict[str, Any] | None:
    """The body with its items, and what else is large and nobody's, unread; None: something is wrong, and `parse` says what."""
    if deeper_than(raw, MAX_DEPTH):
        return None
    name, item = getattr(shape, "ITEMS", ("", None))
    try:
        body = read_fields(raw, name, shape.__struct_fields__ if shape in _OUR_WORDS else None)
        if model:
            body["model"] = model
        items = body.get(name)
        if isinstance(items, UnreadList):
            check = _checks(item)
            if not (items or name != "messages") or not all(map(check, items.items)):
                return None
            msgspec.convert({**body, name: []}, shape)
        else:
            msgspec.convert(body, shape)
    except ValueError:
        return None
    return body


@functools.cache
def _checks(item: Any) -> Callable[[msgspec.Raw], bool]:
    """Raises ValueError where something is no such item; False: it says nothing."""
    read = msgspec.json.Decoder(item).decode

    def check(raw: msgspec.Raw) -> bool:
        found = read(raw)
        return not isinstance(found, ChatMessage) or found.content is not None or found.role not in _SPEAKERS

    return check


def _too_many(raw: Body) -> bool:
    """Whether there is more in a body than is worth reading; asked of its bytes, before anything is built from it."""
    if raw.count(b",") <= MAX_VALUES and sum(map(raw.count, _FIELDS)) <= MAX_FIELDS:
        return False
    values = fields = at = 0
    while values <= MAX_VALUES and fields <= MAX_FIELDS:
        quote = raw.find(b'"', at)
        end = len(raw) if quote < 0 else quote
        values += raw.count(b",", at, end)
        fields += sum(raw.count(mark, at, end) for mark in _FIELDS)
        if quote < 0:
            return values > MAX_VALUES or fields > MAX_FIELDS
        at = quote + 1
        while raw[at : at + 1] not in (b'"', b""):
            text = _TEXT.match(raw, at)
            if text is None or text.end() == at:
                return False  # no JSON; the parser says where
            at = text.end()
        at += 1
    return True


def _invalid(message: str) -> ApiError:
    """msgspec's "Expected `int`, got `str` - at `$.max_tokens`" as OpenAI's error: the path goes into `param`."""
    text, _, path = message.partition(" - at `$")
    param = path.rstrip("`").lstrip(".") or None
    if text.startswith("Object missing required field"):
        field = text.split("`")[1]
        param = f"{param}.{field}" if param else field
        return ApiError(400, f"Missing required parameter: {param!r}", code="missing_required_parameter", param=param)
    if text.startswith("Invalid enum value"):
        text = "Invalid value"
    return ApiError(400, f"{text} in {param!r}" if param else text, code="invalid_type", param=param)


def _deeper_than(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True
