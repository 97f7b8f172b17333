"""Which arms may answer a request: allowed, capable, large enough."""

from __future__ import annotations

from router_backend.config import RouterConfig
from router_backend.config.models import ModelConfig
from router_backend.prompts.hints import RoutingHints


class NoCandidate(ValueError):
    """No arm may answer; the message says what excluded them."""


def candidates(config: RouterConfig, hints: RoutingHints) -> tuple[int, ...]:
    """Arms that may answer one request, ascending.

    Raises:
        NoCandidate: none is both allowed and capable.
    """
    allowed = [i for i, model in enumerate(config.models) if hints.candidates is None or model.name in hints.candidates]
    if not allowed:
        raise NoCandidate(f"none of the allowed models {hints.candidates} is configured ({', '.join(config.names)})")
    capable = [i for i in allowed if can_take(config.models[i], hints)]
    if not capable:
        needs = ", ".join(hints.needs) or f"{hints.prompt_tokens} prompt tokens"
        raise NoCandidate(f"no allowed model can take this request (needs {needs}); allow another model or shorten it")
    return tuple(capable)


def can_take(model: ModelConfig, hints: RoutingHints) -> bool:
    """Whether a model has the capabilities and the context window for a request."""
    room = hints.prompt_tokens + (hints.max_tokens or 1) <= model.context_window
    return room and model.capabilities.issuperset(hints.needs)
