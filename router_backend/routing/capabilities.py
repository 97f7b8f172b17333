"""Which arms can take a request at all: asked before they are scored, and where no policy decides."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from router_backend.config import RouterConfig
from router_backend.config.models import Capability, ModelConfig
from router_backend.core.unread import LISTS

_IMAGES = frozenset({"image_url", "input_image", "image"})


def required_capabilities(body: Mapping[str, Any]) -> frozenset[Capability]:
    """What a chat request asks of a model; bodies that aren't valid ask nothing."""
    return frozenset(_required(body))


def _required(body: Mapping[str, Any]) -> Iterator[Capability]:
    messages = body.get("messages")
    messages = [message for message in messages if isinstance(message, dict)] if isinstance(messages, LISTS) else []
    if (
        body.get("tools")
        or body.get("functions")
        or any(m.get("tool_calls") or m.get("role") == "tool" for m in messages)
    ):
        yield "tools"
    for message in messages:
        content = message.get("content")
        if isinstance(content, list) and any(
            isinstance(part, dict) and part.get("type") in _IMAGES for part in content
        ):
            yield "vision"
    answer = body.get("response_format")
    if isinstance(answer, dict) and answer.get("type") in ("json_object", "json_schema"):
        yield "json"
    logprobs = body.get("logprobs")
    if not (logprobs is None or logprobs is False) or body.get("top_logprobs"):
        yield "logprobs"


class Needs(NamedTuple):
    """What a request asks of a model."""

    capabilities: Collection[str]
    tokens: int  # of prompt and answer together; the prompt's are an estimate by the classifier's tokenizer


def needs(body: Mapping[str, Any], prompt_tokens: int) -> Needs:
    """Of a chat request."""
    return Needs(required_capabilities(body), prompt_tokens + max(1, _answer_tokens(body)))


def fits(model: ModelConfig, needs: Needs) -> bool:
    """Whether a model has the capabilities and the context window for a request.

    A prompt that is too long after all comes back from the upstream as `context_length` and falls back to a model with
    a larger window.
    """
    return needs.tokens <= model.context_window and model.capabilities.issuperset(needs.capabilities)


def _answer_tokens(body: Mapping[str, Any]) -> int:
    """Tokens of the answer that the client reserves; 0 if it leaves that open."""
    for name in ("max_completion_tokens", "max_tokens"):
        value = body.get(name)
        if isinstance(value, int):
            return max(0, value)
    return 0


def default_order(
    config: RouterConfig, allowed: Collection[str], prompt: Mapping[str, Any] | None, endpoint: str
) -> tuple[str, ...]:
    """The arms to ask where no policy decides: the default model first, then the others, should it be down, too.

    Only what the client allows (empty: all). Arms that can't take the request come last: they are asked only where no
    other is left. `prompt`: the chat request that stands for it; None: token ids, or texts to embed.
    """
    models = [model for model in config.models if not allowed or model.name in allowed]
    asked = needs(prompt or {}, prompt_tokens=0)
    models.sort(key=lambda model: (not fits(model, asked), model.name != config.default_model))
    if endpoint == "embeddings":
        models = [model for model in models if "embeddings" in model.capabilities] or models
    if prompt is None:
        models = [model for model in models if model.upstream.kind not in ("tensorrtllm", "bedrock")] or models
    return tuple(model.name for model in models)
