"""Requests for models whose servers speak the client's own API: what chat can't say is no obstacle there."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

import msgspec

from router_backend.core.errors import OpenAIError
from router_backend.core.jsonio import dump
from router_backend.core.unread import UnreadList
from router_backend.gateway.http.errors import ApiError
from router_backend.gateway.large_bodies import LARGE
from router_backend.gateway.surfaces.surface import Codec, Fields

_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
_MOST = 64  # parts that are left out of the translation


def translated(codec: Codec, asked: Fields, size: int) -> tuple[Fields, OpenAIError | None]:
    """The chat request, as far as chat can say it, and the refusal of what it can't; None where it says all. `size`: bytes asked.

    Raises:
        ApiError: 400, the request is malformed.
    """
    refusal: OpenAIError | None = None
    for _ in range(_MOST):
        try:
            return _compact(codec.request(asked), size), refusal
        except ApiError as error:
            if error.error.code != "unsupported_parameter" or not error.error.param:
                raise
            if refusal is None:
                asked, refusal = {name: _copy(value) for name, value in asked.items()}, error.error
            if not _leave_out(asked, error.error.param):
                break
    assert refusal is not None
    raise ApiError(400, refusal.message, code=refusal.code, param=refusal.param)


def _copy(value: Any) -> Any:
    return list(value) if isinstance(value, UnreadList) else deepcopy(value)


def _compact(chat: Fields, size: int) -> Fields:
    """A large one keeps its messages as JSON, as one that came in chat's words: objects take several times as much."""
    if size > LARGE:
        written = bytearray(b"[")
        for message in chat["messages"]:  # orjson's own pieces have four kilobytes each, so none may stay
            written += dump(message)
            written += b","
        written[-1:] = b"]"
        chat["messages"] = UnreadList(msgspec.Raw(bytes(written)))
    return chat


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
