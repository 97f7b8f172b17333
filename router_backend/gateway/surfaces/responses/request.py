"""A Responses request as the chat request that asks for the same.

Left out are wishes about the answer's form that nothing here follows from: `reasoning.summary`, `stream_options`,
`include` of what there isn't (encrypted reasoning), whether an answer was a comment or the last word (`phase`), and marks up to which a
prompt is cached.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from router_backend.gateway.surfaces.responses.tools import function_name, functions, wrapped_input
from router_backend.gateway.surfaces.words import items, mapping, only, refuse, text

_SAME = (
    "model",
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "stream",
    "temperature",
    "top_logprobs",
    "top_p",
    "user",
)
_TRANSLATED = (
    "input",
    "instructions",
    "max_output_tokens",
    "reasoning",
    "text",
    "tool_choice",
    "tools",
    "include",
    "previous_response_id",
)
_BESIDE = ("store", "background", "truncation", "stream_options", "client_metadata")
_CALL = ("type", "id", "status", "call_id", "name", "namespace")
_ITEMS = {
    "message": ("type", "id", "status", "role", "content", "phase"),
    "function_call": (*_CALL, "arguments"),
    "custom_tool_call": (*_CALL, "input"),
    "function_call_output": (*_CALL, "output"),
    "custom_tool_call_output": (*_CALL, "output"),
    "reasoning": ("type", "id", "status", "content", "summary", "encrypted_content"),
}
"""Their fields; items of other types are refused whole."""
_TEXT = ("type", "text", "logprobs", "prompt_cache_breakpoint")
_PARTS = {
    "input_text": _TEXT,
    "output_text": _TEXT,
    "text": _TEXT,
    "refusal": ("type", "refusal"),
    "input_image": ("type", "image_url", "detail", "file_id", "prompt_cache_breakpoint"),
    "input_file": ("type", "filename", "file_data", "prompt_cache_breakpoint"),
    "input_audio": ("type", "input_audio"),
}
_INCLUDED = ("reasoning.encrypted_content", "message.output_text.logprobs")
_LOGPROBS = "message.output_text.logprobs"


def chat_request(body: dict[str, Any]) -> dict[str, Any]:
    """See the module.

    Raises:
        ApiError: 400, a field has no counterpart in chat; its name is in `param`.
    """
    _check(body)
    chat: dict[str, Any] = {name: body[name] for name in _SAME if body.get(name) is not None}
    messages: list[dict[str, Any]] = []
    if body.get("instructions"):
        messages.append({"role": "system", "content": body["instructions"]})
    said = body["input"]
    messages += [{"role": "user", "content": said}] if isinstance(said, str) else _messages(said)
    chat["messages"] = messages or [{"role": "user", "content": ""}]
    if body.get("max_output_tokens") is not None:
        chat["max_completion_tokens"] = body["max_output_tokens"]
    if body.get("tools"):
        chat["tools"] = [
            function for at, tool in enumerate(body["tools"]) for function in functions(tool, f"tools[{at}]")
        ]
    if body.get("tool_choice") is not None:
        chat["tool_choice"] = _tool_choice(body["tool_choice"])
    if _LOGPROBS in (body.get("include") or ()) or body.get("top_logprobs"):
        chat["logprobs"] = True
    reasoning = body.get("reasoning") or {}
    only(reasoning, ("effort", "summary", "generate_summary"), "reasoning")
    if reasoning.get("effort") is not None:
        chat["reasoning_effort"] = reasoning["effort"]
    chat |= _text(body.get("text") or {})
    if chat.get("stream"):
        chat["stream_options"] = {"include_usage": True}
    return chat


def _check(body: dict[str, Any]) -> None:
    only(body, (*_SAME, *_TRANSLATED, *_BESIDE))
    if body.get("store"):
        refuse("store", "is on, but this gateway stores no answers (responses.store); send false")
    if body.get("previous_response_id"):
        refuse(
            "previous_response_id",
            "names a stored answer, and this gateway stores none (responses.store); send the earlier items in input",
        )
    if body.get("background"):
        refuse("background")
    if body.get("truncation") not in (None, "disabled"):
        refuse("truncation")
    for at, name in enumerate(body.get("include") or ()):
        if name not in _INCLUDED:
            refuse(f"include[{at}]")


def _text(settings: dict[str, Any]) -> dict[str, Any]:
    only(settings, ("format", "verbosity"), "text")
    chat: dict[str, Any] = {}
    if settings.get("verbosity") is not None:
        chat["verbosity"] = settings["verbosity"]
    form = mapping(settings.get("format") or {}, "text.format")
    match form.get("type"):
        case None | "text":
            pass
        case "json_object":
            chat["response_format"] = {"type": "json_object"}
        case "json_schema":
            schema = {name: value for name, value in form.items() if name != "type" and value is not None}
            chat["response_format"] = {"type": "json_schema", "json_schema": schema}
        case _:
            refuse("text.format.type")
    return chat


def _messages(said: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """An assistant's reasoning, text and calls are items of their own; in chat they are one message."""
    messages: list[dict[str, Any]] = []
    for at, item in enumerate(said):
        for message in _message(item, f"input[{at}]"):
            last = messages[-1] if messages else {}
            if message["role"] == last.get("role") == "assistant" and _joins(last, message):
                _join(last, message)
            else:
                messages.append(message)
    for message in messages:
        if message["role"] == "assistant":
            message.setdefault("content", None if "tool_calls" in message else "")
    return messages


def _joins(last: dict[str, Any], message: dict[str, Any]) -> bool:
    """Whether an item goes on with the same turn: text after text, or reasoning after either, begins another."""
    return not ("content" in message and ("content" in last or "tool_calls" in last)) and not (
        "reasoning_content" in message and ("content" in last or "tool_calls" in last)
    )


def _join(last: dict[str, Any], message: dict[str, Any]) -> None:
    for name, value in message.items():
        if name in ("tool_calls", "reasoning_content") and name in last:
            last[name] += value
        elif name != "role":
            last[name] = value


def _message(item: dict[str, Any], where: str) -> Iterator[dict[str, Any]]:
    only(item, _ITEMS.get(str(item.get("type", "message")), item), where)
    match item.get("type", "message"):
        case "message":
            yield _said(item, where)
        case "function_call":
            yield _call(item, text(item.get("arguments"), f"{where}.arguments"), where)
        case "custom_tool_call":
            yield _call(item, wrapped_input(text(item.get("input"), f"{where}.input")), where)
        case "function_call_output" | "custom_tool_call_output":
            yield from _result(item, where)
        case "reasoning":
            parts = items(item.get("content"), f"{where}.content") or items(item.get("summary"), f"{where}.summary")
            thought = "".join(text(part.get("text"), f"{where}.content") for part in parts)
            if thought:
                yield {"role": "assistant", "reasoning_content": thought}
        case other:
            refuse(where, f"is an item of type {other!r}, which chat completions don't have")


def _call(item: dict[str, Any], arguments: str, where: str) -> dict[str, Any]:
    function = {"name": function_name(item, where), "arguments": arguments}
    call = {"id": text(item.get("call_id"), f"{where}.call_id"), "type": "function", "function": function}
    return {"role": "assistant", "tool_calls": [call]}


def _said(item: dict[str, Any], where: str) -> dict[str, Any]:
    role = text(item.get("role"), f"{where}.role")
    role = "system" if role == "developer" else role  # the same; templates of open models know only this name
    content = item.get("content")
    if isinstance(content, str):
        return {"role": role, "content": content}
    parts = [_part(part, f"{where}.content[{at}]") for at, part in enumerate(items(content, f"{where}.content"))]
    if not parts:
        refuse(f"{where}.content", "must be text or a list of parts")
    if role == "assistant" and all(part["type"] == "refusal" for part in parts):
        return {"role": role, "content": None, "refusal": "".join(part["refusal"] for part in parts)}
    return {"role": role, "content": parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts}


def _result(item: dict[str, Any], where: str) -> Iterator[dict[str, Any]]:
    """Images and files follow as the user's, since a tool's message holds text."""
    output = item.get("output")
    call = text(item.get("call_id"), f"{where}.call_id")
    if isinstance(output, str):
        yield {"role": "tool", "tool_call_id": call, "content": output}
        return
    parts = [_part(part, f"{where}.output[{at}]") for at, part in enumerate(items(output, f"{where}.output"))]
    texts = [part for part in parts if part["type"] == "text"]
    others = [part for part in parts if part["type"] != "text"]
    if others and not texts:
        texts = [{"type": "text", "text": "The result follows in the next message."}]
    yield {"role": "tool", "tool_call_id": call, "content": texts[0]["text"] if len(texts) == 1 else texts or ""}
    if others:
        yield {"role": "user", "content": others}


def _part(part: dict[str, Any], where: str) -> dict[str, Any]:
    only(part, _PARTS.get(str(part.get("type")), part), where)
    match part.get("type"):
        case "input_text" | "output_text" | "text":
            return {"type": "text", "text": text(part.get("text"), f"{where}.text")}
        case "refusal":
            return {"type": "refusal", "refusal": text(part.get("refusal"), f"{where}.refusal")}
        case "input_image":
            if part.get("file_id") is not None:
                refuse(f"{where}.file_id")
            image = {"url": text(part.get("image_url"), f"{where}.image_url")}
            return {"type": "image_url", "image_url": image | _set(part, ("detail",))}
        case "input_file":
            return {"type": "file", "file": _set(part, ("filename", "file_data"))}
        case "input_audio":
            return {"type": "input_audio", "input_audio": mapping(part.get("input_audio"), f"{where}.input_audio")}
        case other:
            return refuse(where, f"is a part of type {other!r}, which chat completions don't have")


def _set(fields: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: fields[name] for name in names if fields.get(name) is not None}


def _tool_choice(choice: Any) -> Any:
    if isinstance(choice, str):
        return choice
    match choice.get("type"):
        case "function" | "custom":
            return {"type": "function", "function": {"name": function_name(choice, "tool_choice")}}
        case "allowed_tools":
            tools = items(choice.get("tools"), "tool_choice.tools")
            allowed = [_tool_choice(tool) for tool in tools]
            return {"type": "allowed_tools", "allowed_tools": {"mode": choice.get("mode"), "tools": allowed}}
        case _:
            return refuse("tool_choice.type")
