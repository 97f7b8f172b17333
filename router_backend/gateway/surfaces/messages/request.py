"""A Messages request as the chat request that asks for the same.

Marks of what a cache shall keep (`cache_control`) stay where they are: on parts and tools, or on a message whose only part becomes a text.
So a conversation whose marks move keeps its shape. Which upstreams get them is forwarding's to say.

Left out are hints about how to serve, which change no answer: `service_tier`, and thinking that only its own server can read
(signatures, redacted blocks).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from router_backend.core.jsonio import dump
from router_backend.gateway.surfaces.words import items, mapping, only, refuse, text

_SAME = ("model", "max_tokens", "stream", "temperature", "top_p", "top_k", "user")
_TRANSLATED = ("messages", "system", "stop_sequences", "tools", "tool_choice", "thinking", "output_config")
_BESIDE = ("metadata", "output_format", "context_management", "cache_control", "service_tier")
_EFFORTS = ((4096, "low"), (16384, "medium"))  # budgets of thinking, in tokens
_BLOCKS = {
    "text": ("type", "text", "cache_control"),
    "thinking": ("type", "thinking", "signature"),
    "redacted_thinking": ("type", "data"),
    "tool_use": ("type", "id", "name", "input", "cache_control"),
    "tool_result": ("type", "tool_use_id", "content", "is_error", "cache_control"),
    "image": ("type", "source", "cache_control"),
    "document": ("type", "source", "title", "context", "citations", "cache_control"),
}
"""Their fields; blocks of other types are refused whole."""
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def chat_request(body: dict[str, Any]) -> dict[str, Any]:
    """See the module.

    Raises:
        ApiError: 400, a field has no counterpart in chat; its name is in `param`.
    """
    only(body, (*_SAME, *_TRANSLATED, *_BESIDE))
    chat: dict[str, Any] = {name: body[name] for name in _SAME if body.get(name) is not None}
    messages: list[dict[str, Any]] = []
    if body.get("system"):
        messages.append({"role": "system", **_texts(body["system"], "system")})
    for at, message in enumerate(body["messages"]):
        messages += _message(message, f"messages[{at}]")
    _mark_end(messages, _mark(body))
    chat["messages"] = messages
    if body.get("stop_sequences"):
        chat["stop"] = body["stop_sequences"]
    if body.get("tools"):
        chat["tools"] = [_tool(tool, f"tools[{at}]") for at, tool in enumerate(body["tools"])]
    if body.get("tool_choice"):
        chat |= _tool_choice(body["tool_choice"])
    chat |= _output(body)
    _metadata(body, chat)
    _managed(body.get("context_management"))
    if chat.get("stream"):
        chat["stream_options"] = {"include_usage": True}
    return chat


def _metadata(body: dict[str, Any], chat: dict[str, Any]) -> None:
    metadata = {name: value for name, value in (body.get("metadata") or {}).items() if value is not None}
    user = metadata.pop("user_id", None)
    if user:
        chat["user"] = user
    if metadata:
        chat["metadata"] = metadata


def _managed(context: Any) -> None:
    """Earlier thinking may be cleared: chat doesn't show it to the model anyway. Other edits change the prompt."""
    if context is None:
        return
    only(mapping(context, "context_management"), ("edits",), "context_management")
    for at, edit in enumerate(items(context.get("edits"), "context_management.edits")):
        if not str(edit.get("type")).startswith("clear_thinking"):
            refuse(f"context_management.edits[{at}]")


def _mark(block: dict[str, Any]) -> dict[str, Any]:
    """Its mark for a cache, if it has one."""
    mark = block.get("cache_control")
    return {} if mark is None else {"cache_control": mark}


def _mark_end(messages: list[dict[str, Any]], mark: dict[str, Any]) -> None:
    """Where the API would set the mark of a whole prompt, unless the client has set one there."""
    content = messages[-1]["content"] if messages else None
    if messages and not (isinstance(content, list) and _mark(content[-1])):
        messages[-1] = {**mark, **messages[-1]}


def _content(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """A message's content: one text is a string, and its mark the message's."""
    if len(parts) == 1 and parts[0]["type"] == "text":
        return {"content": parts[0]["text"], **_mark(parts[0])}
    return {"content": parts or ""}


def _texts(content: Any, where: str) -> dict[str, Any]:
    """A message's content from text, or from blocks that are all text."""
    if isinstance(content, str):
        return {"content": content}
    parts = []
    for at, block in enumerate(content):
        if block["type"] != "text":
            refuse(f"{where}[{at}]", f"is a block of type {block['type']!r}; chat completions take only text here")
        only(block, _BLOCKS["text"], f"{where}[{at}]")
        parts.append({"type": "text", "text": text(block.get("text"), f"{where}[{at}].text"), **_mark(block)})
    return _content(parts)


def _message(message: dict[str, Any], where: str) -> Iterator[dict[str, Any]]:
    role, content = message["role"], message["content"]
    only(message, ("role", "content"), where)
    if isinstance(content, str):
        yield {"role": role, "content": content}
    elif role == "assistant":
        yield _assistant(content, where)
    elif role == "system":
        yield {"role": "system", **_texts(content, f"{where}.content")}
    else:
        yield from _user(content, where)


def _assistant(blocks: list[dict[str, Any]], where: str) -> dict[str, Any]:
    texts: list[dict[str, Any]] = []
    thoughts: list[str] = []
    calls: list[dict[str, Any]] = []
    mark: dict[str, Any] = {}  # of a call
    for at, block in enumerate(blocks):
        here = f"{where}.content[{at}]"
        only(block, _BLOCKS.get(block["type"], block), here)
        match block["type"]:
            case "text":
                texts.append({"type": "text", "text": text(block.get("text"), f"{here}.text"), **_mark(block)})
            case "thinking":
                thoughts.append(text(block.get("thinking"), f"{here}.thinking"))
            case "redacted_thinking":
                pass
            case "tool_use":
                arguments = dump(mapping(block.get("input", {}), f"{here}.input")).decode()
                function = {"name": text(block.get("name"), f"{here}.name"), "arguments": arguments}
                calls.append({"id": text(block.get("id"), f"{here}.id"), "type": "function", "function": function})
                mark = _mark(block) or mark
            case other:
                refuse(here, f"is a block of type {other!r}, which chat completions don't have")
    message: dict[str, Any] = {"role": "assistant", **_content(texts), **mark}
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = calls
        if not texts:
            message["content"] = None
    return message


def _user(blocks: list[dict[str, Any]], where: str) -> Iterator[dict[str, Any]]:
    """Tool results are messages of their own; images in them follow as the user's, since a tool's message holds text."""
    parts: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for at, block in enumerate(blocks):
        here = f"{where}.content[{at}]"
        if block["type"] == "tool_result":
            only(block, _BLOCKS["tool_result"], here)
            result, images = _result(block, here)
            results.append(result)
            parts += images
        else:
            parts.append(_part(block, here))
    yield from results
    if parts or not results:
        yield {"role": "user", **_content(parts)}


def _result(block: dict[str, Any], where: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    content = block.get("content")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else items(content, f"{where}.content")
    parts = [_part(each, f"{where}.content[{at}]") for at, each in enumerate(blocks)]
    texts = [part for part in parts if part["type"] == "text"]
    others = [part for part in parts if part["type"] != "text"]
    if block.get("is_error"):
        texts = [{"type": "text", "text": "The tool failed."}, *texts]
    if others and not texts:
        texts = [{"type": "text", "text": "The result follows in the next message."}]
    call = text(block.get("tool_use_id"), f"{where}.tool_use_id")
    return {"role": "tool", "tool_call_id": call, **_content(texts), **_mark(block)}, others


def _part(block: dict[str, Any], where: str) -> dict[str, Any]:
    only(block, _BLOCKS.get(str(block.get("type")), block), where)
    match block.get("type"):
        case "text":
            return {"type": "text", "text": text(block.get("text"), f"{where}.text"), **_mark(block)}
        case "image":
            return {"type": "image_url", "image_url": {"url": _address(block, where)}, **_mark(block)}
        case "document":
            source = mapping(block.get("source"), f"{where}.source")
            if block.get("citations") and mapping(block["citations"], f"{where}.citations").get("enabled"):
                refuse(f"{where}.citations")
            if source.get("type") == "text":
                heads = [str(block[name]) for name in ("title", "context") if block.get(name)]
                words = "\n".join([*heads, text(source.get("data"), f"{where}.source.data")])
                return {"type": "text", "text": words, **_mark(block)}
            if source.get("type") != "base64":
                refuse(f"{where}.source", "is of a type that chat completions don't have")
            name = block.get("title") or "document.pdf"
            file = {"filename": name, "file_data": _address(block, where)}
            return {"type": "file", "file": file, **_mark(block)}
        case other:
            return refuse(where, f"is a block of type {other!r}, which chat completions don't have")


def _address(block: dict[str, Any], where: str) -> str:
    source = mapping(block.get("source"), f"{where}.source")
    if source.get("type") == "url":
        return text(source.get("url"), f"{where}.source.url")
    if source.get("type") != "base64":
        refuse(f"{where}.source", "is of a type that chat completions don't have")
    kind, data = (text(source.get(name), f"{where}.source.{name}") for name in ("media_type", "data"))
    return f"data:{kind};base64,{data}"


def _tool(tool: dict[str, Any], where: str) -> dict[str, Any]:
    if tool.get("type") not in (None, "custom"):
        refuse(where, f"is {tool['type']!r}, a tool that Anthropic's servers run; chat completions don't have it")
    only(
        tool,
        ("name", "description", "input_schema", "type", "strict", "cache_control", "eager_input_streaming"),
        where,
    )
    function: dict[str, Any] = {
        "name": text(tool.get("name"), f"{where}.name"),
        "parameters": mapping(tool.get("input_schema"), f"{where}.input_schema"),
    }
    function |= {name: tool[name] for name in ("description", "strict") if tool.get(name) is not None}
    return {"type": "function", "function": function, **_mark(tool)}


def _tool_choice(choice: dict[str, Any]) -> dict[str, Any]:
    kind = choice.get("type")
    chat: dict[str, Any] = {}
    if kind == "tool":
        chat["tool_choice"] = {
            "type": "function",
            "function": {"name": text(choice.get("name"), "tool_choice.name")},
        }
    elif isinstance(kind, str) and kind in _CHOICES:
        chat["tool_choice"] = _CHOICES[kind]
    else:
        refuse("tool_choice.type")
    if choice.get("disable_parallel_tool_use") is not None:
        chat["parallel_tool_calls"] = not choice["disable_parallel_tool_use"]
    return chat


def _output(body: dict[str, Any]) -> dict[str, Any]:
    """Structured outputs, and how much to think: an effort that is said wins over a budget of tokens.

    `thinking: disabled` and `adaptive` say nothing: whether a model thinks is then the arm's own setting.
    """
    config = body.get("output_config") or {}
    only(config, ("effort", "format"), "output_config")
    chat: dict[str, Any] = {}
    thinking = body.get("thinking") or {}
    if thinking.get("type") == "enabled":
        budget = thinking.get("budget_tokens")
        budget = budget if isinstance(budget, int) else 0
        chat["reasoning_effort"] = next((effort for most, effort in _EFFORTS if budget <= most), "high")
    if config.get("effort"):
        chat["reasoning_effort"] = config["effort"]
    form = config.get("format") or body.get("output_format")
    if form:
        if mapping(form, "output_config.format").get("type") != "json_schema":
            refuse("output_config.format.type")
        schema = {"name": "answer", "schema": mapping(form.get("schema"), "output_config.format.schema")}
        chat["response_format"] = {"type": "json_schema", "json_schema": schema | {"strict": True}}
    return chat
