"""JSON in and out, one pair for all that forwards answers: what `load` reads, `dump` writes."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson

from router_backend.core.unread import Unread


def load(data: bytes) -> Any:
    """Parse JSON; NaN and lone surrogates, which are not JSON but which servers send, too.

    Raises:
        ValueError: not JSON, or nested too deeply.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("JSON that is nested too deeply") from error


def dump(value: Any) -> bytes:
    """Compact JSON; lone surrogates, which orjson refuses, are escaped; NaN and infinities become null. What is unread
    stays as it came.

    Raises:
        RecursionError: nested too deeply.
    """
    try:
        return orjson.dumps(value, default=_as_it_came)
    except TypeError:
        return json.dumps(_finite(value), separators=(",", ":")).encode()


def _as_it_came(value: Any) -> orjson.Fragment:
    if isinstance(value, Unread):
        return orjson.Fragment(bytes(value.raw))
    raise TypeError


def _finite(value: Any) -> Any:
    """As orjson writes it: JSON has no NaN and no infinities."""
    if isinstance(value, Unread):
        return _finite(value.value())
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
