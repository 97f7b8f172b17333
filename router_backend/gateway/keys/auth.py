"""Who may do what, and how often: API keys with scopes and rate limits."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from router_backend.config.security import ApiKey, Scope
from router_backend.core.addresses import is_loopback
from router_backend.gateway.http.errors import ApiError
from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.http.origins import own_name_only, same_site_only
from router_backend.gateway.keys.budgets import Budgets, limited

KEY_PREFIX = "llmr-"


def new_key() -> tuple[str, str]:
    """A fresh key and the SHA-256 that `router.yaml` keeps of it. 256 random bits need no slow hash."""
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    return key, hashlib.sha256(key.encode()).hexdigest()


class Rates:
    """Token buckets by key name, in memory: they survive a reload of the configuration, not a restart of the process."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}  # tokens, and when they were counted

    def take(self, key: str, what: str, per_minute: int) -> float:
        """Take one of `per_minute`; returns seconds to wait, 0 if it was granted."""
        now = time.monotonic()
        tokens, counted = self._buckets.get((key, what), (float(per_minute), now))
        tokens, wait = taken(tokens, counted, now, per_minute)
        self._buckets[key, what] = (tokens, now)
        return wait


def taken(tokens: float, counted: float, now: float, per_minute: int) -> tuple[float, float]:
    """A bucket's tokens after one was asked for, and the seconds to wait, 0 if it was granted."""
    tokens = min(float(per_minute), tokens + (now - counted) * per_minute / 60)
    return (tokens - 1, 0.0) if tokens >= 1 else (tokens, (1 - tokens) * 60 / per_minute)


class Keys:
    """The configured keys. Without any, everybody who can connect may do everything but `admin` from elsewhere."""

    def __init__(
        self, keys: Sequence[ApiKey], rates: Rates, budgets: Budgets, allowed_hosts: Collection[str] = ()
    ) -> None:
        self._keys, self._rates, self._budgets = list(keys), rates, budgets
        self._allowed_hosts = frozenset(name.lower() for name in allowed_hosts)

    def admit(self, exchange: Exchange, scope: Scope) -> ApiKey | None:
        """The key that a request shows, if it may use `scope`; its name is noted on the exchange. None: no keys are on.

        Raises:
            ApiError: 401 no or unknown key, 403 not its scope, 429 its rate or budget is used up.
        """
        if not self._keys:
            same_site_only(exchange, even_allowed=scope == "admin")
            if scope == "admin" or b"sec-fetch-site" in exchange.headers:  # only a browser can be led astray
                self.own_name(exchange)
            if scope == "admin" and not is_loopback(exchange.address):
                raise ApiError(403, "Without API keys /admin answers this machine only", code="insufficient_scope")
            return None
        key = self._find(_shown(exchange))
        exchange.key = key.name
        self.require(key, scope)
        if scope in ("chat", "feedback"):
            per_minute = key.requests_per_minute if scope == "chat" else key.feedback_per_minute
            if per_minute and (wait := self._rates.take(key.name, scope, per_minute)):
                message = f"Rate limit reached: {per_minute} {'requests' if scope == 'chat' else scope} per minute"
                raise ApiError(429, message, type="requests", code="rate_limit_exceeded", retry_after=wait)
        return key

    def own_name(self, exchange: Exchange) -> None:
        """Raises ApiError (403) when there are no keys and a request is for a host that isn't this one."""
        if not self._keys:
            own_name_only(exchange, self._allowed_hosts)

    def afford(self, key: ApiKey | None) -> None:
        """Raises ApiError (429) when a budget of the key is spent."""
        if key:
            self._budgets.afford(key)

    @property
    def budgeted(self) -> bool:
        """Whether any key has a budget."""
        return any(map(limited, self._keys))

    @staticmethod
    def require(key: ApiKey | None, scope: Scope) -> None:
        """Raises ApiError (403) when keys are on and this one lacks the scope."""
        if key and scope not in key.scopes:
            raise ApiError(403, f"This API key lacks the scope {scope!r}", code="insufficient_scope")

    def _find(self, value: str) -> ApiKey:
        shown = hashlib.sha256(value.encode("latin-1", "replace")).hexdigest()
        match = None
        for key in self._keys:  # all of them, each in constant time: the time says nothing about which one fits
            if hmac.compare_digest(shown, key.sha256):
                match = key
        if match is None:
            raise ApiError(
                401,
                "Incorrect API key provided" if value else "No API key provided: send 'Authorization: Bearer KEY'",
                type="authentication_error",
                code="invalid_api_key",
                headers=[(b"www-authenticate", b"Bearer")],
            )
        if match.expires and match.expires < datetime.now(UTC).date():
            raise ApiError(
                401,
                f"This API key expired on {match.expires}",
                type="authentication_error",
                code="expired_api_key",
                headers=[(b"www-authenticate", b"Bearer")],
            )
        return match


_KEY_HEADERS = (b"x-api-key", b"api-key")  # Anthropic's clients, Azure's


def _shown(exchange: Exchange) -> str:
    """The key that a request shows, empty if none; where there are several headers, `authorization` counts."""
    authorization = exchange.header(b"authorization")
    if authorization is not None:
        scheme, _, value = authorization.partition(" ")
        return value.strip() if scheme.lower() == "bearer" else ""
    return next((value for name in _KEY_HEADERS if (value := exchange.header(name) or "")), "")
