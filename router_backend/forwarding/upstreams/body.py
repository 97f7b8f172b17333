"""The body that an arm's upstream gets: the client's fields, the arm's defaults and caps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from router_backend.config.models import BedrockUpstream, ModelConfig, OpenAIUpstream
from router_backend.core.unread import LISTS, Unread, UnreadList
from router_backend.forwarding.request import ForwardRequest, Native, NativeEndpoint
from router_backend.forwarding.upstreams.cache_marks import mark_chat, mark_messages, on_parts, without_marks

_LIMITS = ("max_completion_tokens", "max_tokens")
_COMPLETION_TOKENS = 16  # of a text completion that sets no limit (OpenAI's API reference)


def arm_body(
    model: ModelConfig, request: ForwardRequest, *, inside: bool = False, usage: bool = True
) -> dict[str, Any]:
    """A new body; the client's is left as it is. The upstream's name of the model is filled in by the upstream.

    `inside`: streamed to us, though the client gets the answer whole. `usage`: ask for the usage chunk of a stream.
    """
    body = filled(request.body, {name: value for name, value in model.defaults.items() if name != "stream"})
    if request.native is not None and request.native.endpoint == "messages":
        body = _marked_as_taken(body, model)
    if request.endpoint == "embeddings":
        return body
    if model.system_prompt and isinstance(body.get("messages"), LISTS):
        body["messages"] = _instructed(body["messages"], model.system_prompt)
    cap = None if request.named else model.max_tokens_by_task.get(request.task)
    if cap is not None:
        if not any(isinstance(body.get(name), int) for name in _LIMITS):
            body["max_tokens"] = _COMPLETION_TOKENS if request.endpoint == "completions" else cap
        for name in _LIMITS:
            limit = body.get(name)
            if isinstance(limit, int):
                body[name] = min(limit, cap) if limit >= 0 else cap  # llama.cpp takes -1 for no limit
    if isinstance(model.upstream, OpenAIUpstream) and request.endpoint == "chat/completions":
        mark_chat(body, model.upstream.cache_points)
    if inside:
        body["stream"] = True
    if body.get("stream") and usage:
        # Without it most servers count nothing; the chunk is taken out again if the client didn't ask for it.
        options = body.get("stream_options")
        body["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    return body


def _marked_as_taken(body: dict[str, Any], model: ModelConfig) -> dict[str, Any]:
    """A translated request with its client's marks for caches where the model's server takes them: another might refuse the field.
    In a chat client's own request they stay, for it knows whom it asks."""
    if isinstance(model.upstream, BedrockUpstream):
        return body
    if not isinstance(model.upstream, OpenAIUpstream) or not model.upstream.cache_points:
        return without_marks(body)
    on_parts(body)
    return body


def native_body(model: ModelConfig, request: ForwardRequest, native: Native, *, inside: bool = False) -> dict[str, Any]:
    """As `arm_body`, in the words of the client's API."""
    body = dict(native.body)
    limit, prompt = _NATIVE[native.endpoint]
    if model.system_prompt:
        ours, theirs = model.system_prompt, body.get(prompt)
        if isinstance(theirs, list):
            body[prompt] = [{"type": "text", "text": ours}, *theirs]
        else:
            body[prompt] = f"{ours}\n\n{theirs}" if theirs else ours
    cap = None if request.named else model.max_tokens_by_task.get(request.task)
    if cap is not None:
        body[limit] = min(body[limit], cap) if isinstance(body.get(limit), int) else cap
    if isinstance(model.upstream, OpenAIUpstream) and native.endpoint == "messages":
        mark_messages(body, model.upstream.cache_points)
    if inside:
        body["stream"] = True
    return body


_NATIVE: dict[NativeEndpoint, tuple[str, str]] = {
    "messages": ("max_tokens", "system"),
    "responses": ("max_output_tokens", "instructions"),
}
"""Names of the limit of tokens and of the instructions."""


def _instructed(messages: Sequence[Any], prompt: str) -> list[Any]:
    """Messages that begin with `prompt`: in the system message that is there, since templates take only one."""
    first = messages[0] if messages else None
    if not isinstance(first, dict) or first.get("role") not in ("system", "developer"):
        return [{"role": "system", "content": prompt}, *_from(messages, 0)]
    content = first.get("content")
    if isinstance(content, list):
        content = [{"type": "text", "text": f"{prompt}\n\n"}, *content]
    else:
        content = f"{prompt}\n\n{content}" if content else prompt
    return [{**first, "content": content}, *_from(messages, 1)]


def _from(messages: Sequence[Any], first: int) -> Sequence[Any]:
    return messages.rest(first) if isinstance(messages, UnreadList) else messages[first:]


def usage_asked(body: Mapping[str, Any]) -> bool:
    """Whether the client wants the trailing usage chunk."""
    options = body.get("stream_options")
    return isinstance(options, dict) and bool(options.get("include_usage"))


def filled(body: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """`body` with what it leaves out taken from `defaults`, within nested objects too."""
    merged = dict(body)
    for key, value in defaults.items():
        ours = merged.get(key)
        if isinstance(ours, Unread):
            ours = ours.value()
        if key not in merged:
            merged[key] = value
        elif isinstance(ours, Mapping) and isinstance(value, Mapping):
            merged[key] = filled(ours, value)
    if "max_completion_tokens" in body and "max_tokens" in defaults and "max_tokens" not in body:
        del merged["max_tokens"]  # two names of one limit: the client's stands
    elif "max_tokens" in body and "max_completion_tokens" in defaults and "max_completion_tokens" not in body:
        del merged["max_completion_tokens"]
    return merged
