"""Where a running process finds its configuration and its state: named by the environment."""

from __future__ import annotations

import os
from pathlib import Path

from router_backend.config.load import load_config
from router_backend.config.schema import RouterConfig

CONFIG = "LLM_ROUTER_CONFIG"
STATE_DIR = "LLM_ROUTER_STATE_DIR"

LOCAL_PROFILE = Path(__file__).parent / "local.yaml"


def config_path() -> Path:
    """The file that `LLM_ROUTER_CONFIG` names, else the packaged local profile."""
    return Path(os.environ.get(CONFIG) or LOCAL_PROFILE)


def state_dir() -> Path:
    """The folder that `LLM_ROUTER_STATE_DIR` names, else `~/.local/share/llm-router`."""
    return Path(os.environ.get(STATE_DIR) or Path.home() / ".local/share/llm-router")


def runtime_config() -> RouterConfig:
    """The configuration in force.

    Raises:
        ConfigError: the file is wrong.
    """
    return load_config(config_path())
