"""The prompt of a request: messages made plain for the model's chat template, or a completion's own text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from router_backend.core.unread import LISTS
from router_backend.forwarding.upstreams.tensorrtllm.sampling import refusal
from router_backend.forwarding.upstreams.tensorrtllm.tokenizer import ChatTokenizer, TemplateRefusal

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


def prompt_of(arm: str, tokenizer: ChatTokenizer, endpoint: str, body: Mapping[str, Any]) -> str:
    """The text that the model continues.

    Raises:
        Failure: no messages, or contents that the model can't read.
    """
    if endpoint == "completions":
        prompt = body.get("prompt")
        if isinstance(prompt, list) and len(prompt) == 1:
            prompt = prompt[0]
        if not isinstance(prompt, str) or not prompt:
            raise refusal(
                "prompt", f"{arm} (TensorRT-LLM) takes one prompt that is text", fallback=isinstance(prompt, list)
            )
        return prompt
    messages = body.get("messages")
    if not isinstance(messages, LISTS) or not messages:
        raise refusal("messages", "messages must be a list with at least one message")
    plain = [_plain(arm, place, message) for place, message in enumerate(messages)]
    options = body.get("chat_template_kwargs")
    options = dict(options) if isinstance(options, dict) else {}
    if body.get("reasoning_effort") is not None:
        options.setdefault("reasoning_effort", body["reasoning_effort"])
    try:
        return tokenizer.render(plain, options)
    except TemplateRefusal as error:
        raise refusal("messages", f"the chat template of {arm} refuses the conversation: {error}") from error


def _plain(arm: str, place: int, message: Any) -> dict[str, str]:
    where = f"messages[{place}]"
    if not isinstance(message, dict):
        raise refusal(where, f"{where} must be an object")
    role = _ROLES.get(str(message.get("role")))
    if role is None or message.get("tool_calls") or message.get("function_call"):
        raise refusal(
            where, f"{arm} (TensorRT-LLM) takes no tool calls and no role {message.get('role')!r}", fallback=True
        )
    content = message.get("content")
    if content is None:
        content = ""
    if isinstance(content, list):
        content = "".join(_text(arm, f"{where}.content[{number}]", part) for number, part in enumerate(content))
    if not isinstance(content, str):
        raise refusal(f"{where}.content", f"{where}.content must be text or a list of parts")
    return {"role": role, "content": content}


def _text(arm: str, where: str, part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        raise refusal(where, f"{where} must be an object")
    if part.get("type") in ("text", "refusal") and isinstance(part.get(part["type"]), str):
        return str(part[part["type"]])
    raise refusal(where, f"{arm} (TensorRT-LLM) reads text only, not {part.get('type')!r}", fallback=True)
