"""OpenAI's request fields as TensorRT-LLM's sampling options; what can't be honoured is refused, never dropped."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from router_backend.core.errors import UNSUPPORTED, OpenAIError, http
from router_backend.forwarding.failure import Failure

# Fields that are read elsewhere, or that change nothing about an answer.
_HARMLESS = frozenset(
    [
        "model",
        "messages",
        "prompt",
        "stream",
        "stream_options",
        "user",
        "metadata",
        "store",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        "parallel_tool_calls",
        "chat_template_kwargs",
        "reasoning_effort",
    ]
)
_ABSENT: dict[str, tuple[Any, ...]] = {  # values that say the same as leaving the field out
    "n": (1,),
    "best_of": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "function_call": ("none", "auto"),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "echo": (False,),
    "suffix": ("",),
}


@dataclass(frozen=True, slots=True)
class Guide:
    """Guided decoding: the answer is JSON (`json`), or JSON of a schema (`json_schema`)."""

    kind: str
    schema: str | None = None  # JSON


@dataclass(frozen=True, slots=True)
class Sampling:
    """`values` by the option's plain name, as both dialects know it; `stops` are watched for on our side as well."""

    values: Mapping[str, Any]
    stops: tuple[str, ...]
    max_tokens: int | None
    guide: Guide | None = None


def refusal(param: str, message: str, fallback: bool = False) -> Failure:
    """The request's own mistake (400). `fallback`: another arm may be able to do it."""
    code = "unsupported_parameter" if fallback else "invalid_value"
    error = OpenAIError(message, 400, "invalid_request_error", code, param)
    return Failure(UNSUPPORTED if fallback else http(400), error)


def read_sampling(arm: str, body: Mapping[str, Any]) -> Sampling:
    """All sampling options of a body, with OpenAI's defaults where TensorRT-LLM's differ.

    TensorRT-LLM decodes greedily, and with one and the same seed, unless told otherwise; OpenAI samples.

    Raises:
        Failure: a field has a wrong value, or one that can't be honoured.
    """
    values: dict[str, Any] = {}
    for name, value in body.items():
        if (
            value is None
            or name in _HARMLESS
            or name in ("stop", "max_tokens", "max_completion_tokens", "response_format")
        ):
            continue
        if name in _READERS:
            values[name] = _READERS[name](name, value)
        elif not any(value == absent and type(value) is type(absent) for absent in _ABSENT.get(name, ())):
            raise refusal(
                name, f"{arm} (TensorRT-LLM) can't honour {name!r}; leave it out or choose another model", True
            )
    if values.get("temperature") == 0 or values.get("top_k") == 1:
        values.pop("temperature", None)
        values.pop("top_p", None)
        values["top_k"] = 1
    else:
        values.setdefault("temperature", 1.0)
        values.setdefault("top_p", 1.0)
        values.setdefault("seed", random.getrandbits(63))
    limit = next((body[n] for n in ("max_completion_tokens", "max_tokens") if body.get(n) is not None), None)
    if limit is not None:
        limit = _integer(1, 2**31 - 1)("max_tokens", limit)
    return Sampling(values, _stops(body.get("stop")), limit, _guide(body.get("response_format")))


def _guide(value: Any) -> Guide | None:
    kind = value.get("type") if isinstance(value, dict) else None
    if value is None or kind == "text":
        return None
    if kind == "json_object":
        return Guide("json")
    schema = value.get("json_schema") if kind == "json_schema" else None
    if not isinstance(schema, dict) or not isinstance(schema.get("schema"), dict):
        raise refusal("response_format", "response_format must be text, json_object, or json_schema with a schema")
    return Guide("json_schema", json.dumps(schema["schema"]))


def _stops(value: Any) -> tuple[str, ...]:
    stops = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) and stop for stop in stops):
        raise refusal("stop", "stop must be a string or a list of strings, none of them empty")
    return tuple(stops)


def _number(low: float, high: float) -> Callable[[str, Any], float]:
    def read(name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise refusal(name, f"{name} must be a number from {low:g} to {high:g} (found {value!r:.60})")
        return float(value)

    return read


def _integer(low: int, high: int) -> Callable[[str, Any], int]:
    def read(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise refusal(name, f"{name} must be an integer from {low} to {high} (found {value!r:.60})")
        return value

    return read


def _seed(name: str, value: Any) -> int:
    return _integer(-(2**63), 2**64 - 1)(name, value) % 2**64


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "temperature": _number(0, 2),
    "top_p": _number(0, 1),
    "top_k": _integer(0, 2**31 - 1),
    "min_tokens": _integer(0, 2**31 - 1),
    "presence_penalty": _number(-2, 2),
    "frequency_penalty": _number(-2, 2),
    "repetition_penalty": _number(0, 10),
    "seed": _seed,
}
NEUTRAL: Mapping[str, float] = {
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "repetition_penalty": 1,
    "top_p": 1,
    "temperature": 1,
    "min_tokens": 0,
    "top_k": 0,
}
"""Values that a model without the option has anyway."""
