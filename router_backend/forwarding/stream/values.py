"""The gate for single values of an upstream's answer: types, ranges, lengths and Unicode, before anything keeps them.

Tolerant where clients' libraries are (10.0 is ten tokens), strict where money and learning are: a count that can't be
one isn't known, and a finish reason that can't be one is `stop`.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

from router_backend.core.records import Usage

MAX_TOKENS = 100_000_000
"""Of one answer; more is no count."""
MAX_FINISH_REASON = 64
MAX_ID = 256
MAX_CREATED = 253_402_300_799  # the last second of the year 9999
NO_PROBABILITY = -9999.0
"""OpenAI's logarithm of a probability of zero, which JSON can't hold as -Infinity."""


def parse(data: bytes) -> tuple[Any, bool]:
    """The JSON value, and whether `data` is JSON to the letter: other readers may then have the bytes as they are.

    NaN, infinities and lone surrogates, which are not JSON but which servers send, are read, too.

    Raises:
        ValueError: not JSON, or nested too deeply.
    """
    try:
        return orjson.loads(data), True
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(data, parse_constant=_constant), False
    except RecursionError as error:
        raise ValueError("JSON that is nested too deeply") from error


def _constant(name: str) -> float:
    return NO_PROBABILITY if name == "-Infinity" else float(name)


def token_count(value: Any) -> int | None:
    """A number of tokens; None if it can't be one. An integral float is one."""
    if type(value) is float and value.is_integer():  # 1e400 is infinite, and no integer
        value = int(value)
    return value if type(value) is int and 0 <= value <= MAX_TOKENS else None


def read_usage(usage: dict[str, Any]) -> Usage | None:
    """Usage of chat completions, completions and embeddings; None if it says nothing, or what can't be.

    A missing or null count is 0; a detail that is no count, too.
    """
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if prompt is None and completion is None:
        return None
    prompt = 0 if prompt is None else token_count(prompt)
    completion = 0 if completion is None else token_count(completion)
    if prompt is None or completion is None:
        return None
    cached = written = reasoning = 0
    if "prompt_tokens_details" in usage:
        details = usage["prompt_tokens_details"]
        cached = _detail(details, "cached_tokens")
        written = _detail(details, "cache_write_tokens") or _detail(details, "cache_creation_tokens")
    if "completion_tokens_details" in usage:
        reasoning = _detail(usage["completion_tokens_details"], "reasoning_tokens")
    if not reasoning and "reasoning_tokens" in usage:
        reasoning = _detail(usage, "reasoning_tokens")
    return Usage(prompt=prompt, cached=cached, cache_write=written, completion=completion, reasoning=reasoning)


def _detail(details: Any, name: str) -> int:
    return (token_count(details.get(name)) or 0) if type(details) is dict else 0


def finish_reason(value: Any) -> str | None:
    """A short printable word; None for an answer that goes on (some servers write an empty one)."""
    if not value:
        return None
    word = type(value) is str and len(value) <= MAX_FINISH_REASON and value.isprintable()
    return value if word else "stop"


def identifier(value: Any) -> bool:
    """Whether it can name an answer or a call: printable text of a bounded length."""
    return type(value) is str and 0 < len(value) <= MAX_ID and value.isprintable()


def timestamp(value: Any) -> bool:
    """Whether it is a second since 1970; Azure's first chunk has 0."""
    return type(value) is int and 0 < value <= MAX_CREATED


def revision_of(answer: dict[str, Any]) -> str:
    """The model id and the system_fingerprint of an answer, as far as they can name a model; empty: neither."""
    model, build = answer.get("model"), answer.get("system_fingerprint")
    name = model if identifier(model) else ""
    if build is None or not identifier(build):  # most have none
        return str(name)
    return f"{name}@{build}" if name else str(build)
