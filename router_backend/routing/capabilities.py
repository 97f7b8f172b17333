"""Which arms can take a request at all: asked before they are scored, and where no policy decides."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from router_backend.config import RouterConfig
from router_backend.config.models import Capability, ModelConfig

_IMAGES = frozenset({"image_url", "input_image", "image"})


def required_capabilities(body: Mapping[str, Any]) -> frozenset[Capability]:
    """What a chat request asks of a model; bodies that aren't valid ask nothing."""
    return frozenset(_required(body))


def _required(body: Mapping[str, Any]) -> Iterator[Capability]:
    messages = body.get("messages")
    messages = [message for message in messages if isinstance(message, dict)] if isinstance(messages, list) else []
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


def answer_tokens(body: Mapping[str, Any]) -> int:
    """Tokens of the answer that the client reserves; 0 if it leaves that open."""
    for name in ("max_completion_tokens", "max_tokens"):
        value = body.get(name)
        if isinstance(value, int):
            return max(0, value)
    return 0


def misfit(model: ModelConfig, body: Mapping[str, Any], prompt_tokens: int) -> str | None:
    """Why a model can't take a request, for the error message; None if it can."""
    missing = required_capabilities(body) - model.capabilities
    if missing:
        return f"{model.name} has no {', '.join(sorted(missing))}"
    needed = prompt_tokens + max(1, answer_tokens(body))
    if needed > model.context_window:
        return f"{model.name} holds {model.context_window} tokens, and prompt and answer need {needed}"
    return None


def fits(model: ModelConfig, body: Mapping[str, Any], prompt_tokens: int) -> bool:
    """Whether a model has the capabilities and the context window for a request.

    `prompt_tokens` is an estimate by the classifier's tokenizer; a prompt that is too long after all comes back
    from the upstream as `context_length` and falls back to a model with a larger window.
    """
    return misfit(model, body, prompt_tokens) is None


def default_order(
    config: RouterConfig, allowed: Collection[str], prompt: Mapping[str, Any] | None, endpoint: str
) -> tuple[str, ...]:
    """The arms to ask where no policy decides: the default model first, then the others, should it be down, too.

    Only what the client allows (empty: all). Arms that can't take the request come last: they are asked only where no
    other is left. `prompt`: the chat request that stands for it; None: token ids, or texts to embed.
    """
    models = [model for model in config.models if not allowed or model.name in allowed]
    models.sort(key=lambda model: (not fits(model, prompt or {}, 0), model.name != config.default_model))
    if endpoint == "embeddings":
        models = [model for model in models if "embeddings" in model.capabilities] or models
    if prompt is None:
        models = [model for model in models if model.upstream.kind != "tensorrtllm"] or models
    return tuple(model.name for model in models)
