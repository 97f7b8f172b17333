"""Tensors of the public contract to Python values and back."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import orjson
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from router_backend.config.agreement import CONFIGURATION
from router_backend.core.tracing import PARENT, STATE, TraceContext, trace_context
from router_backend.prompts.hints import COST_RATIO, LOADS, PACES, WARM

# Inputs of TensorRT-LLM's `ensemble` dialect, as OpenAI request fields.
_SAMPLING = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "stream": "stream",
    "top_p": "top_p",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "random_seed": "seed",  # the older name; the newer one wins
    "seed": "seed",
    "stop_words": "stop",
}
# Those that no OpenAI field stands for; a value that changes nothing is accepted.
_NEUTRAL: dict[str, Sequence[float]] = {
    "repetition_penalty": (1,),
    "top_k": (0, 1),  # 1 is greedy: temperature 0
    "beam_width": (0, 1),
    "num_return_sequences": (0, 1),
    "min_tokens": (0, 1),
    "min_length": (0, 1),
    "return_log_probs": (False,),
    "return_context_logits": (False,),
    "return_generation_logits": (False,),
    "return_perf_metrics": (False,),
    "return_kv_cache_reuse_stats": (False,),
}
# Any value of end_id and pad_id (the models have their own), of length_penalty (it needs beams, which are refused) and of
# exclude_input_in_output (an answer never repeats its prompt) changes nothing.

MAX_COST, MIN_QUALITY, PROMPT_TOKENS, DRY_RUN = "max_cost", "min_quality", "prompt_tokens", "dry_run"
_PARAMETERS = frozenset(
    (MAX_COST, MIN_QUALITY, PROMPT_TOKENS, DRY_RUN, LOADS, PACES, WARM, COST_RATIO, CONFIGURATION, PARENT, STATE)
)
_OF_TRITON = re.compile(r"triton_.*|sequence_(id|start|end)|priority|timeout|binary_data_output|headers")


class InvalidInput(ValueError):
    """An input that can't be honoured; the message names it and says what to do."""


def rows(request: Any) -> list[dict[str, Any]]:
    """Each row of a request's batch as `{input name: value}`; strings decoded, missing optional inputs left out."""
    tensors = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
    count = max((len(array) for array in tensors.values()), default=0)
    return [
        {name: _value(name, array[row]) for name, array in tensors.items() if array[row].size} for row in range(count)
    ]


def _value(name: str, row: NDArray[Any]) -> Any:
    if row.dtype != object:
        return row.item() if row.size == 1 else row
    try:
        texts = [item.decode("utf-8") if isinstance(item, bytes) else str(item) for item in row.reshape(-1)]
    except UnicodeDecodeError as error:
        raise InvalidInput(f"input {name} isn't UTF-8 ({error.reason} at byte {error.start}); send UTF-8") from error
    return texts if name in ("stop_words", "bad_words") else texts[0]


def parameters(request: Any) -> dict[str, Any]:
    """Request parameters: with the generate endpoints, JSON fields that are no inputs."""
    text = request.parameters()
    return dict(orjson.loads(text)) if text else {}


def check_parameters(request: Any, known: Collection[str] = _PARAMETERS) -> None:
    """Refuse parameters that mean nothing here: one that is passed over would be a wish that nobody hears.

    `known`: those that mean something, besides Triton's own.

    Raises:
        InvalidInput: names the parameter.
    """
    for name in parameters(request):
        if name not in known and not _OF_TRITON.fullmatch(name):
            raise InvalidInput(f"{name} is neither an input nor a parameter of this model; leave it out")


def no_dry_run(request: Any) -> None:
    """Raises InvalidInput where an answer is asked for: what it costs must be recorded."""
    if DRY_RUN in parameters(request):
        raise InvalidInput(f"{DRY_RUN} is a parameter of route, which answers with the decision alone")


def trace(request: Any) -> TraceContext:
    """The caller's trace, in parameters of the request; gRPC metadata of these names is forwarded as such."""
    given = {name: value for name, value in parameters(request).items() if isinstance(value, str)}
    return trace_context(*([given[name]] if name in given else [] for name in (PARENT, STATE)))


def chat_body(row: dict[str, Any]) -> dict[str, Any]:
    """The OpenAI chat-completions body that a row of inputs stands for. `request` wins over the others.

    Raises:
        InvalidInput: no prompt, JSON that isn't, or a value of the TensorRT-LLM dialect that can't be honoured.
    """
    _check_neutral(row)
    if row.get("request"):
        body = _json("request", row["request"], dict)
        return {**body, "stream": bool(body.get("stream", row.get("stream", False)))}
    if row.get("messages"):
        messages = _json("messages", row["messages"], list)
    elif "text_input" in row:
        messages = [{"role": "user", "content": row["text_input"]}]
    else:
        raise InvalidInput(
            "no prompt: send text_input (a prompt), messages (JSON array) or request (OpenAI body as JSON)"
        )
    body = {field: row[name] for name, field in _SAMPLING.items() if row.get(name) is not None}
    if row.get("top_k") == 1:
        body["temperature"] = 0
    if body.get("top_p") == 0:  # TensorRT-LLM's word for no limit
        del body["top_p"]
    if "stop" in body:
        body["stop"] = [word for word in body["stop"] if word]
        if not body["stop"]:
            del body["stop"]
    return {"model": "auto", "messages": messages, **body}


def _check_neutral(row: dict[str, Any]) -> None:
    for name, neutral in _NEUTRAL.items():
        value = row.get(name)
        if value is not None and value not in neutral:
            raise InvalidInput(
                f"input {name}={value} has no counterpart at the models behind this router; leave it out"
            )
    if any(row.get("bad_words") or []):
        raise InvalidInput("input bad_words has no counterpart at the models behind this router; leave it out")


def _json(name: str, text: str, kind: type) -> Any:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"input {name} isn't JSON: {error}") from error
    if not isinstance(value, kind):
        raise InvalidInput(f"input {name} must be a JSON {'object' if kind is dict else 'array'}")
    return value


def flat(tensor: Any) -> Any:
    """As TensorRT-LLM's postprocessing gives `text_output`: shape [n] instead of [n, 1]."""
    return pb_utils.Tensor(tensor.name(), tensor.as_numpy().reshape(-1))


def text(name: str, values: Sequence[str | bytes]) -> Any:
    """STRING tensor [n, 1]."""
    encoded = [value.encode("utf-8", "replace") if isinstance(value, str) else value for value in values]
    return pb_utils.Tensor(name, np.array(encoded, object).reshape(-1, 1))


def numbers(name: str, values: Any, dtype: type) -> Any:
    """Numeric tensor [n, m] from n rows."""
    array: NDArray[Any] = np.asarray(values, dtype)
    return pb_utils.Tensor(name, array.reshape(len(array), -1))


def failure(message: str, code: int | None = None) -> Any:
    """An error response. Without a code it is the caller's mistake, and the message says so to those who read no codes."""
    if code is None:
        message, code = f"INVALID_ARGUMENT: {message}", pb_utils.TritonError.INVALID_ARG
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))
