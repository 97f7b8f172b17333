"""The first step: a chat request to token ids and routing hints."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from router_backend.classifier.artifact import artifact_metadata
from router_backend.classifier.encoding import PromptEncoder
from router_backend.contract import LENGTH_BUCKETS, TOKENIZER_FILE
from router_backend.prompts import BadRequest, describe, routing_text, step_of
from router_backend.prompts.hints import CONVERSATION, COST_RATIO, LOADS, PACES, WARM, WRITES, RoutingHints
from router_backend.routing.capabilities import required_capabilities
from router_backend.state.hashing import Hasher
from router_backend.steps.dialect import DRY_RUN, InvalidInput, chat_body

log = logging.getLogger(__name__)
_HIGHEST_RATIO = 100.0  # of costs to what was expected
_MOST_TOKENS = 1e9
Tokens = Annotated[float, msgspec.Meta(ge=0, le=_MOST_TOKENS)]
Taken = Annotated[float, msgspec.Meta(ge=0, le=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e6)]


class ReadPrompt(NamedTuple):
    """A prompt as the classifier takes it, and what else the router reads of it."""

    input_ids: NDArray[np.int64]  # [bucket]
    attention_mask: NDArray[np.int64]  # [bucket]
    hints: RoutingHints


class HintReader:
    """The key that hashes what must not be stored."""

    def __init__(self, hasher: Hasher) -> None:
        self._hasher = hasher

    def read(self, row: dict[str, Any], parameters: dict[str, Any], received: float) -> tuple[str, RoutingHints]:
        """The text that is classified, and the hints; the rest as `PromptReader.read`."""
        body = chat_body(row)
        messages = body.get("messages")
        if not isinstance(messages, list):
            raise BadRequest("request.messages must be a non-empty array of message objects")
        text = routing_text(messages)
        return text, self._hints(row, parameters, body, text, received)

    def _hints(
        self, row: dict[str, Any], parameters: dict[str, Any], body: dict[str, Any], text: str, received: float
    ) -> RoutingHints:
        features = describe(text, body["messages"])
        session, step = row.get("session_id", ""), step_of(body["messages"])
        return RoutingHints(
            # A gateway sends long texts by their ends, and says how long all was.
            prompt_tokens=int(_number(parameters, "prompt_tokens", _MOST_TOKENS) or 0) or features.prompt_tokens,
            japanese=features.japanese,
            code=features.code,
            needs=sorted(required_capabilities(body)),
            max_tokens=_whole(body.get("max_completion_tokens") or body.get("max_tokens")),
            candidates=_candidates(row, body),
            policy=row.get("policy", ""),
            session=self._hasher.hash(session) if session else "",
            prompt=self._hasher.hash(f"{text}\n{step.beside}" if step.beside else text),
            repeatable=not step.depth and not (session.startswith(CONVERSATION) and _begins(body["messages"])),
            depth=step.depth,
            tool=step.tool,
            failed=step.failed,
            previous_model=row.get("previous_model", ""),
            max_cost=_number(parameters, "max_cost", math.inf),
            min_quality=_number(parameters, "min_quality", 1.0),
            paces=_paces(parameters),
            warm=_warm(parameters),
            writes=_writes(parameters),
            loads=_loads(parameters),
            cost_ratio=_number(parameters, COST_RATIO, _HIGHEST_RATIO) or 1.0,
            received=received,
            dry_run=_flag(parameters, DRY_RUN),
        )


class PromptReader:
    """The tokenizer of one artifact, and what reads hints."""

    def __init__(self, encoder: PromptEncoder, hasher: Hasher) -> None:
        self.encoder, self._hints = encoder, HintReader(hasher)

    @classmethod
    def of(cls, artifact: Path, state_dir: Path) -> PromptReader:
        """That of an artifact's folder; see `artifact_metadata` for what it raises."""
        metadata = artifact_metadata(artifact)
        encoder = PromptEncoder(artifact / TOKENIZER_FILE, metadata.prefix, metadata.max_tokens)
        return cls(encoder, Hasher.of(state_dir))

    def read(self, row: dict[str, Any], parameters: dict[str, Any], received: float) -> ReadPrompt:
        """`row`: inputs of `route` by name; `parameters`: of the request; `received`: time.monotonic() when it came.

        Raises:
            InvalidInput: an input or a parameter that can't be honoured.
            BadRequest: messages that aren't.
        """
        text, hints = self._hints.read(row, parameters, received)
        try:
            encoded = self.encoder.encode(text)
        except Exception:  # a step that fails fails the ensemble: the router answers with the default model instead
            log.exception("a prompt could not be tokenised")
            width = LENGTH_BUCKETS[0]
            return ReadPrompt(np.zeros(width, np.int64), np.ones(width, np.int64), replace(hints, degraded="tokenizer"))
        return ReadPrompt(encoded.input_ids, encoded.attention_mask, hints)


def _candidates(row: dict[str, Any], body: dict[str, Any]) -> list[str] | None:
    """The arms allowed; a model that a request names is the only one, as at the gateway."""
    allowed, named = _names(row.get("candidates", "")), body.get("model", "auto")
    if not isinstance(named, str):
        raise InvalidInput("request.model must be a string")
    if named == "auto":
        return allowed
    if allowed is not None and named not in allowed:
        raise InvalidInput(f"request.model is {named!r}, which candidates doesn't allow")
    return [named]


def _names(given: str | list[Any]) -> list[str] | None:
    if given == "":
        return None
    try:
        names = orjson.loads(given) if isinstance(given, str) else given
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"input candidates isn't JSON: {error}") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidInput('input candidates must be a JSON array of model names, such as ["llama3-8b"]')
    return names


def _begins(messages: list[dict[str, Any]]) -> bool:
    return not any(message.get("role") == "assistant" for message in messages)


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _flag(parameters: dict[str, Any], name: str) -> bool:
    value = parameters.get(name, False)
    if not isinstance(value, bool):
        raise InvalidInput(f"parameter {name} must be true or false")
    return value


def _loads(parameters: dict[str, Any]) -> dict[str, float]:
    text = parameters.get(LOADS)
    if text is None:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, Taken])
    except (TypeError, msgspec.MsgspecError) as error:
        message = f'parameter {LOADS} must be JSON such as {{"llama3-8b": 0.5}}: shares of places by model ({error})'
        raise InvalidInput(message) from error


def _paces(parameters: dict[str, Any]) -> dict[str, tuple[float, float]]:
    text = parameters.get(PACES)
    if text is None:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, tuple[Seconds, Seconds]])
    except (msgspec.MsgspecError, TypeError) as error:
        raise InvalidInput(
            f'parameter {PACES} must be JSON such as {{"llama3-8b": [0.2, 0.01]}}: seconds by model ({error})'
        ) from error


def _warm(parameters: dict[str, Any]) -> dict[str, float]:
    text = parameters.get(WARM)
    if text is None:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, Tokens])
    except (msgspec.MsgspecError, TypeError) as error:
        raise InvalidInput(
            f'parameter {WARM} must be JSON such as {{"llama3-8b": 4096}}: tokens by model ({error})'
        ) from error


def _writes(parameters: dict[str, Any]) -> dict[str, float]:
    text = parameters.get(WRITES)
    if text is None:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, Taken])
    except (msgspec.MsgspecError, TypeError) as error:
        raise InvalidInput(
            f'parameter {WRITES} must be JSON such as {{"llama3-8b": 0.9}}: shares by model ({error})'
        ) from error


def _number(parameters: dict[str, Any], name: str, highest: float) -> float | None:
    value = parameters.get(name)
    if value is None:
        return None
    try:
        number = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= highest or not math.isfinite(number):
        raise InvalidInput(f"parameter {name} must be a number from 0 to {highest:g}")
    return number
