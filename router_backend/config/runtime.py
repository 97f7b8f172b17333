"""Where a running process finds its configuration and its state: named by the environment."""

from __future__ import annotations

import os
from pathlib import Path

from router_backend.config.load import load_config
from router_backend.config.models import OpenAIUpstream
from router_backend.config.schema import RouterConfig

CONFIG = "LLM_ROUTER_CONFIG"
STATE_DIR = "LLM_ROUTER_STATE_DIR"
LOG = "LLM_ROUTER_LOG"  # `text`: the gateway's log for people; else JSON
LOCAL_URL = "LLM_ROUTER_LOCAL_URL"  # of the packaged model, up to and including /v1

ADMIN_KEY_FILE = "triton-admin.key"  # in the state folder: opens the admin APIs of the Triton that `llm-router up` runs

LOCAL_PROFILE = Path(__file__).parent / "local.yaml"


def config_path() -> Path:
    """The file that `LLM_ROUTER_CONFIG` names, else the packaged local profile."""
    return Path(os.environ.get(CONFIG) or LOCAL_PROFILE)


def state_dir() -> Path:
    """The folder that `LLM_ROUTER_STATE_DIR` names, else `~/.local/share/llm-router`."""
    return Path(os.environ.get(STATE_DIR) or Path.home() / ".local/share/llm-router")


def runtime_config(path: Path | None = None) -> RouterConfig:
    """The configuration in force, with each `local` upstream replaced by the server that the launcher started.

    Raises:
        ConfigError: the file is wrong.
    """
    config = load_config(path or config_path())
    base_url = os.environ.get(LOCAL_URL)
    return with_local_upstream(config, base_url) if base_url else config


def with_local_upstream(config: RouterConfig, base_url: str) -> RouterConfig:
    """Copy of `config` in which models with `kind: local` are served at `base_url`."""
    models = [
        model.model_copy(update={"upstream": OpenAIUpstream(kind="openai", base_url=base_url, model=model.name)})
        if model.upstream.kind == "local"
        else model
        for model in config.models
    ]
    return config.model_copy(update={"models": models})
