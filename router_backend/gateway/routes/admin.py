"""`/admin/reload` and `/admin/config`, for the scope `admin`."""

from __future__ import annotations

from typing import Any

from router_backend.config import ConfigError
from router_backend.gateway.http.errors import ApiError
from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.runtime import Runtimes

_SECRET = "…"


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
    """A configuration without what could be a secret: key hashes, header values, a store's password."""
    for model in config["models"]:
        headers = model["upstream"].get("headers")
        if headers:
            model["upstream"]["headers"] = dict.fromkeys(headers, _SECRET)
        if "@" in model["upstream"].get("base_url", ""):
            model["upstream"]["base_url"] = _without_user(model["upstream"]["base_url"])
    for key in config["security"]["api_keys"]:
        key["sha256"] = _SECRET
    config["state"] = _without_user(config["state"])
    return config


def _without_user(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    host = authority.rpartition("@")
    return f"{scheme}{mark}{_SECRET + '@' if host[1] else ''}{host[2]}{slash}{path}"
