"""Requests for models whose servers speak the client's own API: what chat can't say is no obstacle there."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

from router_backend.core.errors import OpenAIError
from router_backend.gateway.http.errors import ApiError
from router_backend.gateway.surfaces.surface import Codec, Fields

_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
_MOST = 64  # parts that are left out of the translation


def translated(codec: Codec, asked: Fields) -> tuple[Fields, OpenAIError | None]:
    """The chat request, as far as chat can say it, and the refusal of what it can't; None where it says all.

    Raises:
        ApiError: 400, the request is malformed.
    """
    refusal: OpenAIError | None = None
    for _ in range(_MOST):
        try:
            return codec.request(asked), refusal
        except ApiError as error:
            if error.error.code != "unsupported_parameter" or not error.error.param:
                raise
            if refusal is None:
                asked, refusal = deepcopy(asked), error.error
            if not _leave_out(asked, error.error.param):
                break
    assert refusal is not None
    raise ApiError(400, refusal.message, code=refusal.code, param=refusal.param)


def _leave_out(value: Any, path: str) -> bool:
    """Delete what stands at a path such as `messages[0].content[1]`, in place; returns whether there was anything."""
    steps: list[Any] = [int(place) if place else name for place, name in _STEP.findall(path)]
    try:
        for step in steps[:-1]:
            value = value[step]
        del value[steps[-1]]
    except (IndexError, KeyError, TypeError):
        return False
    return True
