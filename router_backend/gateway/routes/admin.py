"""`/admin/reload` and `/admin/config`, for the scope `admin`."""

from __future__ import annotations

from typing import Any

from router_backend.config import ConfigError
from router_backend.gateway.http.errors import ApiError
from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.runtime import Runtimes

_SECRET = "…"
_OPEN = frozenset(("region", "prefix", "durability", "db"))  # parameters of the state's address


class ReloadHandler:
    """POST: the configuration is read again."""

    def __init__(self, runtimes: Runtimes) -> None:
        self._runtimes = runtimes

    async def __call__(self, exchange: Exchange) -> None:
        self._runtimes.current.keys.admit(exchange, "admin")
        try:
            config = await self._runtimes.reload()
        except ConfigError as error:
            raise ApiError(409, f"The configuration in use stays: {error}", code="invalid_configuration") from None
        await exchange.json({"status": "reloaded", "models": list(config.names)})


class ConfigHandler:
    """GET of the configuration in use."""

    def __init__(self, runtimes: Runtimes) -> None:
        self._runtimes = runtimes

    async def __call__(self, exchange: Exchange) -> None:
        runtime = self._runtimes.current
        runtime.keys.admit(exchange, "admin")
        await exchange.json(redacted(runtime.config.model_dump(mode="json", by_alias=True)))


def redacted(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration without what could be a secret, wherever it stands: key hashes, header values, passwords and parameters of
    addresses."""
    return {name: _redacted(name, value) for name, value in config.items()}


def _redacted(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        if name == "headers":
            return dict.fromkeys(value, _SECRET)
        return redacted(value)
    if isinstance(value, list):
        return [_redacted(name, each) for each in value]
    if name == "sha256" and value:
        return _SECRET
    return _address(value) if isinstance(value, str) and ("://" in value or "@" in value) else value


def _address(url: str) -> str:
    """Without user and password, and without values of parameters but those that are never secret."""
    scheme, mark, rest = url.rpartition("://")
    rest, question, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    host = authority.rpartition("@")
    parameters = [
        part if part.partition("=")[0] in _OPEN else f"{part.partition('=')[0]}={_SECRET}" for part in query.split("&")
    ]
    return f"{scheme}{mark}{_SECRET + '@' if host[1] else ''}{host[2]}{slash}{path}{question}{'&'.join(parameters) if query else ''}"
