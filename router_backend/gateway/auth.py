"""Who may do what, and how much of it: API keys with scopes, rate limits and daily budgets."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from router_backend.config.security import ApiKey, Scope
from router_backend.gateway.errors import ApiError
from router_backend.gateway.exchange import Exchange

KEY_PREFIX = "llmr-"
_DAY = 86_400


def new_key() -> tuple[str, str]:
    """A fresh key and the SHA-256 that `router.yaml` keeps of it. 256 random bits need no slow hash."""
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    return key, hashlib.sha256(key.encode()).hexdigest()


def is_loopback(host: str) -> bool:
    """Whether an address to listen on (or of a client) is this machine's alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(slots=True)
class _Use:
    """What one key has used: token buckets for the rates, dollars for the day."""

    tokens: dict[str, float] = field(default_factory=dict)
    filled: dict[str, float] = field(default_factory=dict)
    day: int = 0
    usd: float = 0.0


class Ledger:
    """Use by key name, in memory: it survives a reload of the configuration, not a restart of the process."""

    def __init__(self) -> None:
        self._uses: dict[str, _Use] = {}

    def take(self, key: str, what: str, per_minute: int) -> float:
        """Take one of `per_minute`; returns seconds to wait, 0 if it was granted."""
        use, now = self._uses.setdefault(key, _Use()), time.monotonic()
        passed = now - use.filled.get(what, now)
        tokens = min(float(per_minute), use.tokens.get(what, float(per_minute)) + passed * per_minute / 60)
        use.filled[what] = now
        granted = tokens >= 1
        use.tokens[what] = tokens - 1 if granted else tokens
        return 0.0 if granted else (1 - tokens) * 60 / per_minute

    def spend(self, key: str, usd: float) -> None:
        self._today(key).usd += usd

    def spent(self, key: str) -> float:
        """USD of this UTC day."""
        return self._today(key).usd

    def _today(self, key: str) -> _Use:
        use, today = self._uses.setdefault(key, _Use()), int(time.time() // _DAY)
        if use.day != today:
            use.day, use.usd = today, 0.0
        return use


class Keys:
    """The configured keys. Without any, everybody who can connect may do everything but `admin` from elsewhere."""

    def __init__(self, keys: Sequence[ApiKey], ledger: Ledger) -> None:
        self._keys, self._ledger = list(keys), ledger

    def admit(self, exchange: Exchange, scope: Scope) -> ApiKey | None:
        """The key that a request shows, if it may use `scope`; its name is noted on the exchange. None: no keys are on.

        Raises:
            ApiError: 401 no or unknown key, 403 not its scope, 429 its rate or budget is used up.
        """
        if not self._keys:
            _same_site_only(exchange)
            if scope == "admin" and not is_loopback((exchange.scope.get("client") or ("",))[0]):
                raise ApiError(403, "Without API keys /admin answers this machine only", code="insufficient_scope")
            return None
        key = self._find(exchange.header(b"authorization") or "")
        exchange.key = key.name
        self.require(key, scope)
        if scope in ("chat", "feedback"):
            per_minute = key.requests_per_minute if scope == "chat" else key.feedback_per_minute
            if per_minute and (wait := self._ledger.take(key.name, scope, per_minute)):
                message = f"Rate limit reached: {per_minute} {'requests' if scope == 'chat' else scope} per minute"
                raise ApiError(429, message, type="requests", code="rate_limit_exceeded", retry_after=wait)
        return key

    def afford(self, key: ApiKey | None) -> None:
        """Raises ApiError (429) when the key's budget of the day is spent."""
        if key and key.usd_per_day and self._ledger.spent(key.name) >= key.usd_per_day:
            raise ApiError(
                429,
                f"The budget of {key.usd_per_day:g} USD per day is spent; it starts anew at 00:00 UTC",
                type="insufficient_quota",
                code="insufficient_quota",
                retry_after=_DAY - time.time() % _DAY,
                headers=[(b"x-should-retry", b"false")],
            )

    @staticmethod
    def require(key: ApiKey | None, scope: Scope) -> None:
        """Raises ApiError (403) when keys are on and this one lacks the scope."""
        if key and scope not in key.scopes:
            raise ApiError(403, f"This API key lacks the scope {scope!r}", code="insufficient_scope")

    def _find(self, authorization: str) -> ApiKey:
        scheme, _, value = authorization.partition(" ")
        shown = hashlib.sha256(value.strip().encode("latin-1", "replace")).hexdigest()
        found = None
        for key in self._keys:  # all of them, each in constant time: the time says nothing about which one fits
            if hmac.compare_digest(shown, key.sha256):
                found = key
        if found is None or scheme.lower() != "bearer":
            raise ApiError(
                401,
                "Incorrect API key provided" if value else "No API key provided: send 'Authorization: Bearer KEY'",
                type="authentication_error",
                code="invalid_api_key",
                headers=[(b"www-authenticate", b"Bearer")],
            )
        return found


def _same_site_only(exchange: Exchange) -> None:
    """Without keys a web page of any other site could use the models through its visitor's browser."""
    if exchange.headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
        raise ApiError(403, "Requests from other web sites need an API key", code="cross_site_request")
