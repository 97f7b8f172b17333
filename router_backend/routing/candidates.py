"""Which arms may answer a request: allowed, capable, large enough."""

from __future__ import annotations

from router_backend.config import RouterConfig
from router_backend.prompts.hints import RoutingHints
from router_backend.routing.capabilities import Needs, fits

_DOUBT = 2.0
"""By which the estimate of a prompt's tokens may be too high: prose has up to seven characters a token, and four are counted."""


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
    needs = needs_of(hints)
    capable = [i for i in allowed if fits(config.models[i], needs)]
    if not capable:
        # The prompt's length is an estimate, so that the largest model's own word decides, within reason.
        least = Needs(needs.capabilities, round(hints.prompt_tokens / _DOUBT) + (hints.max_tokens or 1))
        near = [i for i in allowed if fits(config.models[i], least)]
        largest = max((config.models[i].context_window for i in near), default=0)
        capable = [i for i in near if config.models[i].context_window == largest]
    if not capable:
        asked = ", ".join(hints.needs) or f"{hints.prompt_tokens} prompt tokens"
        raise NoCandidate(f"no allowed model can take this request (needs {asked}); allow another model or shorten it")
    return tuple(capable)


def needs_of(hints: RoutingHints) -> Needs:
    """What a request whose body the tokenizer has read asks of a model."""
    return Needs(hints.needs, hints.prompt_tokens + (hints.max_tokens or 1))
