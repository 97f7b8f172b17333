"""`/v1/models`: what a client may name."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, get_args

from router_backend.config.models import Capability, ModelConfig
from router_backend.gateway.http.errors import unknown_model
from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.request import AUTO
from router_backend.gateway.runtime import Runtimes

_STARTED = time.time()  # the models themselves don't say since when there are any


class ModelsHandler:
    """GET of all models, `auto` first."""

    def __init__(self, runtimes: Runtimes) -> None:
        self._runtimes = runtimes

    async def __call__(self, exchange: Exchange) -> None:
        runtime = self._runtimes.current
        runtime.keys.admit(exchange, "chat")
        offered = runtime.offered
        names = (AUTO, *(model.name for model in offered))
        page = {"has_more": False, "first_id": names[0], "last_id": names[-1]}  # Anthropic's
        data = [_entry(AUTO, runtime.config.models), *(_entry(model.name, [model]) for model in offered)]
        await exchange.json({"object": "list", "data": data, **page})


class ModelHandler:
    """GET of one model."""

    def __init__(self, runtimes: Runtimes) -> None:
        self._runtimes = runtimes

    async def __call__(self, exchange: Exchange) -> None:
        runtime = self._runtimes.current
        runtime.keys.admit(exchange, "chat")
        name = exchange.path.removeprefix("/v1/models/")
        models = [model for model in runtime.offered if model.name == name] if name != AUTO else runtime.config.models
        if not models:
            raise unknown_model(name, runtime.config.names)
        await exchange.json(_entry(name, models))


def _entry(name: str, models: Sequence[ModelConfig]) -> dict[str, Any]:
    """OpenAI's and Anthropic's fields, and what clients read beside them: what any of the models can."""
    able = set().union(*(model.capabilities for model in models))
    window = max(model.context_window for model in models)
    return {
        "id": name,
        "object": "model",
        "created": int(_STARTED),
        "owned_by": "llm-router",
        "type": "model",
        "display_name": name,
        "created_at": datetime.fromtimestamp(_STARTED, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "context_length": window,  # OpenRouter's name
        "max_model_len": window,  # vLLM's
        "capabilities": {what: what in able for what in get_args(Capability)},  # Mistral's form
    }
