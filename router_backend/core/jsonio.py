"""JSON in and out, one pair for all that forwards answers: what `load` reads, `dump` writes."""

from __future__ import annotations

import json
from typing import Any

import orjson


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
    """Compact JSON; lone surrogates, which orjson refuses, are escaped.

    Raises:
        RecursionError: nested too deeply.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()
