"""`/v1/models`: what a client may name."""

from __future__ import annotations

import time
from typing import Any

from router_backend.gateway.http.errors import unknown_model
from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.request import AUTO
from router_backend.gateway.runtime import Runtimes

_CREATED = int(time.time())  # OpenAI's field; the models themselves don't say


class ModelsHandler:
    """GET of all models, `auto` first."""

    def __init__(self, runtimes: Runtimes) -> None:
        self._runtimes = runtimes

    async def __call__(self, exchange: Exchange) -> None:
        runtime = self._runtimes.current
        runtime.keys.admit(exchange, "chat")
        names = (AUTO, *runtime.config.names)
        await exchange.json({"object": "list", "data": [_entry(name) for name in names]})


class ModelHandler:
    """GET of one model."""

    def __init__(self, runtimes: Runtimes) -> None:
        self._runtimes = runtimes

    async def __call__(self, exchange: Exchange) -> None:
        runtime = self._runtimes.current
        runtime.keys.admit(exchange, "chat")
        name = exchange.path.removeprefix("/v1/models/")
        if name != AUTO and name not in runtime.config.names:
            raise unknown_model(name, runtime.config.names)
        await exchange.json(_entry(name))


def _entry(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "llm-router"}
