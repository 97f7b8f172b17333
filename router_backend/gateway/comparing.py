"""Which answers the judge may compare with the reference model's, and what that model is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from router_backend.config import RouterConfig
from router_backend.core.decision import RoutedDecision
from router_backend.forwarding.upstreams.cache_marks import without_marks
from router_backend.gateway.request import CompletionRequest
from router_backend.learning.reading import Reading

_BYTES = 64 * 1024  # of a request that is asked again: it is held until then
# What an answer depends on. Names of people, caches and stores belong to the client's request alone.
_KEPT = frozenset(
    [
        "messages",
        "temperature",
        "top_p",
        "stop",
        "seed",
        "response_format",
        "reasoning_effort",
        "presence_penalty",
        "frequency_penalty",
    ]
)
_LIMITS = ("max_completion_tokens", "max_tokens")


def reference_of(config: RouterConfig) -> str:
    """The model that answers are compared with."""
    return config.judge.pairs.reference or config.default_model


def may_be_compared(request: CompletionRequest, decision: RoutedDecision, config: RouterConfig) -> bool:
    """Whether the reference model can be asked the same: it was a candidate, and the request is text, without tools."""
    if not config.judge.pairs.share or request.size > _BYTES or reference_of(config) not in decision.ranking:
        return False
    if request.body.get("tools") or request.body.get("functions") or (request.native and request.native.refusal):
        return False
    return all(_is_text(message.get("content")) for message in request.body.get("messages") or ())


def asked_again(body: Mapping[str, Any], config: RouterConfig) -> dict[str, Any]:
    """The client's request for the reference model: for one whole answer of at most `pairs.max_tokens`."""
    limit = config.judge.pairs.max_tokens
    name = next((name for name in _LIMITS if body.get(name)), "max_tokens")
    kept = {key: value for key, value in body.items() if key in _KEPT}
    return without_marks({**kept, "model": reference_of(config), name: min(limit, body.get(name) or limit)})


def comparable(reading: Reading, finish_reason: str, body: Mapping[str, Any], config: RouterConfig) -> bool:
    """Whether the reference model's answer to a client's request can be compared: it is text, and was not cut off by us."""
    most = config.judge.pairs.max_tokens
    whole = finish_reason != "length" or any(body.get(name) and body[name] <= most for name in _LIMITS)
    return whole and bool(reading.text.strip()) and not reading.calls


def _is_text(content: Any) -> bool:
    return isinstance(content, str) or (
        isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in content)
    )
