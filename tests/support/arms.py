"""Configurations for engines in front of scripted upstreams."""

from __future__ import annotations

from typing import Any

from router_backend.config.schema import RouterConfig


def model(name: str, base_url: str, **fields: Any) -> dict[str, Any]:
    """A model section of router.yaml for a scripted upstream."""
    return {
        "name": name,
        "upstream": {"kind": "openai", "base_url": base_url, "model": "upstream-model"},
        "price": {"input": 1, "output": 2},
        "context_window": 8192,
        **fields,
    }


def router_config(models: list[dict[str, Any]], **fields: Any) -> RouterConfig:
    """A whole configuration; the first model is the default."""
    return RouterConfig.model_validate(
        {"version": 1, "models": models, "default_model": models[0]["name"], "policy": {"name": "random"}, **fields}
    )
