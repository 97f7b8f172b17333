"""Routing hints: what a client may say about the choice, in headers or in `metadata`. Ours are never forwarded."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from router_backend.gateway.http.errors import ApiError

# Header and metadata key of each hint; the header wins.
NAMES = {
    "policy": (b"x-router-policy", "router_policy"),
    "session": (b"x-router-session", "router_session"),
    "max_cost": (b"x-router-max-cost", "router_max_cost"),
    "min_quality": (b"x-router-min-quality", "router_min_quality"),
    "models": (b"x-router-models", "router_models"),
}
_MAX_LENGTH = 512


@dataclass(frozen=True, slots=True)
class ClientHints:
    """All optional; `session` falls back to OpenAI's `user`."""

    policy: str = ""  # `route` knows which there are
    session: str = ""
    max_cost: float | None = None  # USD for the answer
    min_quality: float | None = None  # [0, 1]
    models: tuple[str, ...] = ()  # allowed arms; empty: all


def take_hints(headers: Mapping[bytes, bytes], body: dict[str, Any], known: Sequence[str]) -> ClientHints:
    """Read the hints and remove ours from `body` (its `metadata` goes altogether when nothing else is in it).

    Raises:
        ApiError: 400, a hint has no meaning.
    """
    metadata = body.get("metadata")
    values: dict[str, str] = {}
    for name, (header, key) in NAMES.items():
        value = metadata.pop(key, None) if metadata else None
        if header in headers:
            value = headers[header].decode("latin-1").strip() or value
        if value:
            if len(value) > _MAX_LENGTH:
                raise _bad(name, f"is longer than {_MAX_LENGTH} characters")
            values[name] = value
    if metadata is not None and not metadata:
        del body["metadata"]
    session = _bounded(values.get("session") or body.get("user") or "")
    if not values:
        return ClientHints(session=session)
    models = tuple(name.strip() for name in values.get("models", "").split(",") if name.strip())
    for model in models:
        if model not in known:
            raise _bad("models", f"names a model that is none of {', '.join(known)}")
    policy = values.get("policy", "")
    return ClientHints(
        policy, session, _number(values, "max_cost", math.inf), _number(values, "min_quality", 1.0), models
    )


def _bounded(session: str) -> str:
    """A session's name as it may be kept and sent on: a long one by its hash. `user` may be of any length."""
    if len(session) <= _MAX_LENGTH:
        return session
    return "sha256:" + hashlib.sha256(session.encode()).hexdigest()


def _number(values: dict[str, str], name: str, highest: float) -> float | None:
    if name not in values:
        return None
    try:
        value = float(values[name])
    except ValueError:
        raise _bad(name, "is not a number") from None
    if not 0 <= value <= highest or not math.isfinite(value):
        raise _bad(name, "is out of range")
    return value


def _bad(name: str, what: str) -> ApiError:
    header, key = NAMES[name]
    where = f"{header.decode()} (or metadata.{key})"
    return ApiError(400, f"{where} {what}", code="invalid_value", param=header.decode())
