"""The router as a library: the tokenizer, classifier, policies and state of a deployment in this process, without Triton."""

from llm_router.router import AsyncRouter, Router
from router_backend.config import ConfigError
from router_backend.contract import TASKS, ContractError
from router_backend.core.decision import RoutedDecision as Decision
from router_backend.core.records import Scored
from router_backend.state.store import StoreError
from router_backend.steps.refusal import Refused

__all__ = [
    "TASKS",
    "AsyncRouter",
    "ConfigError",
    "ContractError",
    "Decision",
    "Refused",
    "Router",
    "Scored",
    "StoreError",
]
