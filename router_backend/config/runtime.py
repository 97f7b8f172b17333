"""The configuration of a running process: named by the environment, with the launcher's local upstream filled in."""

from __future__ import annotations

import os
from pathlib import Path

from router_backend.config.load import load_config
from router_backend.config.models import OpenAIUpstream
from router_backend.config.schema import RouterConfig

CONFIG = "LLM_ROUTER_CONFIG"
STATE_DIR = "LLM_ROUTER_STATE_DIR"
LOCAL_UPSTREAM = "LLM_ROUTER_LOCAL_UPSTREAM"

LOCAL_PROFILE = Path(__file__).parent / "local.yaml"


def config_path() -> Path:
    """The file that `LLM_ROUTER_CONFIG` names, else the packaged local profile."""
    return Path(os.environ.get(CONFIG) or LOCAL_PROFILE)


def state_dir() -> Path:
    """The folder that `LLM_ROUTER_STATE_DIR` names, else `~/.local/share/llm-router`."""
    return Path(os.environ.get(STATE_DIR) or Path.home() / ".local/share/llm-router")


def runtime_config() -> RouterConfig:
    """The configuration, with each `local` upstream replaced by the server that the launcher started.

    Raises:
        ConfigError: the file is wrong.
    """
    return with_local_upstream(load_config(config_path()), os.environ.get(LOCAL_UPSTREAM, ""))


def with_local_upstream(config: RouterConfig, base_url: str) -> RouterConfig:
    """Copy of `config` in which models with `kind: local` are served at `base_url`."""
    models = [
        model.model_copy(update={"upstream": OpenAIUpstream(kind="openai", base_url=base_url, model=model.name)})
        if model.upstream.kind == "local"
        else model
        for model in config.models
    ]
    return config.model_copy(update={"models": models})
