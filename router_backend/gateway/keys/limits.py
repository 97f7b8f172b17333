"""The rates of keys and of their groups: requests, tokens and feedback per minute."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from router_backend.config.security import ApiKey, KeyGroup, Scope, SecurityConfig
from router_backend.gateway.http.errors import ApiError, Header
from router_backend.gateway.keys.rates import Rates


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

    def admit(self, key: ApiKey, scope: Scope) -> None:
        """Raises ApiError (429) when a rate of the key or of its group is used up."""
        counted = {"chat": "requests", "feedback": "feedback"}.get(scope)
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
    what = limit.what.encode()
    headers: list[Header] = [
        (b"x-ratelimit-limit-" + what, str(limit.per_minute).encode()),
        (b"x-ratelimit-remaining-" + what, b"0"),
        (b"x-ratelimit-reset-" + what, f"{math.ceil(1000 * wait)}ms".encode()),
    ]
    return ApiError(
        429,
        f"Rate limit reached: {limit.per_minute} {limit.what} per minute{limit.owner}",
        type="tokens" if limit.what == "tokens" else "requests",
        code="rate_limit_exceeded",
        retry_after=wait,
        headers=headers,
    )
