"""The words of a request for a decision: inputs and parameters of `route`, whoever carries them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

import orjson

from router_backend.config.agreement import CONFIGURATION
from router_backend.core.tracing import PARENT, STATE
from router_backend.prompts.hints import COST_RATIO, LOADS, PACES, QUESTION, WARM, WRITES

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

_READ: dict[str, type] = {"request": dict, "candidates": list}
"""Inputs that may come as JSON that is read already."""

MAX_COST, MIN_QUALITY, PROMPT_TOKENS, DRY_RUN = "max_cost", "min_quality", "prompt_tokens", "dry_run"
KNOWN = frozenset(
    (
        MAX_COST,
        MIN_QUALITY,
        PROMPT_TOKENS,
        DRY_RUN,
        LOADS,
        PACES,
        WARM,
        WRITES,
        COST_RATIO,
        CONFIGURATION,
        PARENT,
        STATE,
    )
)
_OF_TRITON = re.compile(r"triton_.*|sequence_(id|start|end)|priority|timeout|binary_data_output|headers")


class InvalidInput(ValueError):
    """An input that can't be honoured; the message names it and says what to do."""


def check_known(parameters: Collection[str], known: Collection[str] = KNOWN) -> None:
    """Refuse parameters that mean nothing here: one that is passed over would be a wish that nobody hears.

    `known`: those that mean something, besides Triton's own.

    Raises:
        InvalidInput: names the parameter.
    """
    for name in parameters:
        if name not in known and not _OF_TRITON.fullmatch(name):
            raise InvalidInput(f"{name} is neither an input nor a parameter of this model; leave it out")


def chat_body(row: dict[str, Any]) -> dict[str, Any]:
    """The OpenAI chat-completions body that a row of inputs stands for. `request` wins over the others.

    Raises:
        InvalidInput: no prompt, JSON that isn't, or a value of the TensorRT-LLM dialect that can't be honoured.
    """
    _check_neutral(row)
    if row.get("request"):
        given = row["request"]
        body = given if isinstance(given, dict) else _json("request", given, dict)
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


def question(data: bytes) -> dict[str, Any]:
    """A row that came as one input, for less copying: strings by name. `request` and `candidates` may stand there as what their JSON means.

    Raises:
        InvalidInput: it is none.
    """
    row: dict[str, Any] = _json(QUESTION, data, dict)
    for name, value in row.items():
        if type(value) is not str and type(value) is not _READ.get(name):
            raise InvalidInput(f"input {QUESTION} must be a JSON object: inputs of decide by name; {name} is none")
    return row


def _check_neutral(row: dict[str, Any]) -> None:
    for name, neutral in _NEUTRAL.items():
        value = row.get(name)
        if value is not None and value not in neutral:
            raise InvalidInput(
                f"input {name}={value} has no counterpart at the models behind this router; leave it out"
            )
    if any(row.get("bad_words") or []):
        raise InvalidInput("input bad_words has no counterpart at the models behind this router; leave it out")


def _json(name: str, text: str | bytes, kind: type) -> Any:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"input {name} isn't JSON: {error}") from error
    if not isinstance(value, kind):
        raise InvalidInput(f"input {name} must be a JSON {'object' if kind is dict else 'array'}")
    return value
