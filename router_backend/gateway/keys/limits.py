"""The rates of keys and of their groups: requests, tokens and feedback per minute."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from router_backend.config.security import ApiKey, KeyGroup, Scope, SecurityConfig
from router_backend.gateway.http.errors import ApiError, Header
from router_backend.gateway.keys.rates import Rates

_COUNTED: Mapping[Scope, str] = {"chat": "requests", "feedback": "feedback"}


class _Limit(NamedTuple):
    what: str  # `requests`, `tokens` or `feedback`
    owner: str  # as a client reads it: empty for its own key's
    bucket: str
    per_minute: int


class KeyLimits:
    """Of one configuration; what was taken is in `rates`, which outlives it."""

    def __init__(self, security: SecurityConfig, rates: Rates) -> None:
        self._rates = rates
        groups = {group.name: group for group in security.groups}
        self._by_key: dict[str, tuple[_Limit, ...]] = {}  # by name, and by hash: names may be there twice
        for key in security.api_keys:
            limits = (*_limits("key", key), *(_limits("group", groups[key.group]) if key.group else ()))
            self._by_key[key.sha256] = self._by_key[key.name] = limits
        self.per_minute: Mapping[str, int] = {
            limit.bucket: limit.per_minute for limits in self._by_key.values() for limit in limits
        }
        """Limits by the name of their bucket."""

    def admit(self, key: ApiKey, scope: Scope) -> list[Header]:
        """Headers that say what is left of the rates of a key and of its group, as OpenAI's do.

        Raises:
            ApiError: 429, one of them is used up.
        """
        counted = _COUNTED.get(scope)
        taken: list[_Limit] = []
        for limit in self._by_key[key.sha256]:
            if limit.what == "tokens" and scope == "chat":  # nobody knows yet how many it will take
                wait = self._rates.wait(limit.bucket, limit.per_minute)
            elif limit.what == counted:
                wait = self._rates.take(limit.bucket, limit.per_minute)
                taken.append(limit)
            else:
                continue
            if wait:
                for other in taken:
                    if other is not limit:
                        self._rates.count(other.bucket, other.per_minute, -1.0)
                raise _reached(limit, wait)
        return self._left(key, scope)

    def _left(self, key: ApiKey, scope: Scope) -> list[Header]:
        """Of several rates of one kind, a key's and its group's, the one that has least."""
        least: dict[str, tuple[float, float, _Limit]] = {}
        for limit in self._by_key[key.sha256]:
            if limit.what == _COUNTED.get(scope) or (limit.what == "tokens" and scope == "chat"):
                left, full = self._rates.left(limit.bucket, limit.per_minute)
                if limit.what not in least or left < least[limit.what][0]:
                    least[limit.what] = left, full, limit
        return [
            header
            for left, full, limit in least.values()
            for header in _headers(limit, math.floor(max(0.0, left)), full)
        ]

    def spend(self, key: str, tokens: int) -> None:
        """An answer for a key has ended."""
        for limit in self._by_key.get(key, ()):
            if limit.what == "tokens" and tokens:
                self._rates.count(limit.bucket, limit.per_minute, float(tokens))


def _limits(kind: str, owner: ApiKey | KeyGroup) -> Iterator[_Limit]:
    for what in ("requests", "tokens", "feedback"):
        per_minute = getattr(owner, f"{what}_per_minute", None)
        if per_minute:
            shown = f" of the group {owner.name!r}" if kind == "group" else ""
            yield _Limit(what, shown, f"{what} {kind} {owner.name}", per_minute)


def _reached(limit: _Limit, wait: float) -> ApiError:
    """As OpenAI says it, with its headers."""
    return ApiError(
        429,
        f"Rate limit reached: {limit.per_minute} {limit.what} per minute{limit.owner}",
        type="tokens" if limit.what == "tokens" else "requests",
        code="rate_limit_exceeded",
        retry_after=wait,
        headers=_headers(limit, 0, wait),
    )


def _headers(limit: _Limit, remaining: int, reset: float) -> list[Header]:
    """`reset`: seconds."""
    what = limit.what.encode()
    return [
        (b"x-ratelimit-limit-" + what, str(limit.per_minute).encode()),
        (b"x-ratelimit-remaining-" + what, str(remaining).encode()),
        (b"x-ratelimit-reset-" + what, f"{math.ceil(1000 * reset)}ms".encode()),
    ]
