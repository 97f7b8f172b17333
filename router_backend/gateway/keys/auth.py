"""Who may do what: API keys with scopes and limits."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection
from datetime import UTC, datetime

from router_backend.config.security import ApiKey, Scope, SecurityConfig
from router_backend.core.addresses import is_loopback
from router_backend.gateway.http.errors import ApiError
from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.http.origins import own_name_only, same_site_only
from router_backend.gateway.keys.budgets import Budgets, limited
from router_backend.gateway.keys.limits import KeyLimits
from router_backend.gateway.keys.rates import Rates

KEY_PREFIX = "llmr-"


def new_key() -> tuple[str, str]:
    """A fresh key and the SHA-256 that `router.yaml` keeps of it. 256 random bits need no slow hash."""
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    return key, hashlib.sha256(key.encode()).hexdigest()


class Keys:
    """The configured keys. Without any, everybody who can connect may do everything but `admin` from elsewhere."""

    def __init__(
        self, security: SecurityConfig, rates: Rates, budgets: Budgets, allowed_hosts: Collection[str] = ()
    ) -> None:
        self._keys, self._budgets = security.api_keys, budgets
        self.limits = KeyLimits(security, rates)
        self._allowed_hosts = frozenset(name.lower() for name in allowed_hosts)

    def admit(self, exchange: Exchange, scope: Scope) -> ApiKey | None:
        """The key that a request shows, if it may use `scope`; its name is noted on the exchange. None: no keys are on.

        Raises:
            ApiError: 401 no or unknown key, 403 not its scope, 429 a rate of it or its group is used up.
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
        exchange.rates = self.limits.admit(key, scope)
        return key

    def on_behalf(self, name: str, scope: Scope) -> ApiKey | None:
        """The key of a request that came earlier, as `admit` would admit it now. None: no keys are on.

        Raises:
            ApiError: 401 the key is gone or its time is over, 403 not its scope, 429 a rate is used up.
        """
        if not self._keys:
            return None
        key = next((key for key in self._keys if key.name == name), None)
        if key is None:
            raise _refused("The API key that made this batch is gone", "invalid_api_key")
        _check_date(key)
        self.require(key, scope)
        self.limits.admit(key, scope)
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
            raise _refused(
                "Incorrect API key provided" if value else "No API key provided: send 'Authorization: Bearer KEY'",
                "invalid_api_key",
            )
        _check_date(match)
        return match


def _check_date(key: ApiKey) -> None:
    """Raises ApiError (401) when its last day is over."""
    if key.expires and key.expires < datetime.now(UTC).date():
        raise _refused(f"This API key expired on {key.expires}", "expired_api_key")


def _refused(message: str, code: str) -> ApiError:
    headers = [(b"www-authenticate", b"Bearer")]
    return ApiError(401, message, type="authentication_error", code=code, headers=headers)


_KEY_HEADERS = (b"x-api-key", b"api-key")  # Anthropic's clients, Azure's


def _shown(exchange: Exchange) -> str:
    """The key that a request shows, empty if none; where there are several headers, `authorization` counts."""
    authorization = exchange.header(b"authorization")
    if authorization is not None:
        scheme, _, value = authorization.partition(" ")
        return value.strip() if scheme.lower() == "bearer" else ""
    return next((value for name in _KEY_HEADERS if (value := exchange.header(name) or "")), "")
