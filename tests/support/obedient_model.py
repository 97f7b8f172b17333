"""A scripted model that does what it is asked for: calls the tool, answers by the schema, stops at the word."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from tests.support.scripted_upstream import END_OF_CHUNKS, Script


def obey(body: Mapping[str, Any]) -> Script:
    """For `ScriptedUpstream.script_by`."""
    last = body["messages"][-1]
    prompt = _text(last["content"])
    wanted = body.get("response_format") or {"type": "text"}
    if wanted["type"] == "json_schema":
        return Script(text=[json.dumps(instance(wanted["json_schema"]["schema"], prompt))])
    if wanted["type"] == "json_object":
        return Script(text=[json.dumps(dict.fromkeys(re.findall(r"'(\w+)'", prompt), "a text"))])
    tools = {tool["function"]["name"]: tool["function"] for tool in body.get("tools") or ()}
    if tools and last["role"] == "user" and body.get("tool_choice") != "none":
        choice = body.get("tool_choice")
        named = (
            [choice["function"]["name"]] if isinstance(choice, Mapping) else [name for name in tools if name in prompt]
        )
        tool = tools[(named or list(tools))[0]]
        return _call(tool["name"], instance(tool.get("parameters") or {}, prompt))
    return Script(text=["I ", "have ", "done ", "it."])


def instance(schema: Mapping[str, Any], prompt: str, root: Mapping[str, Any] | None = None) -> Any:
    """A value of a JSON schema, with what the prompt names: its first number, or what it has in quotes."""
    root = schema if root is None else root
    if "$ref" in schema:
        return instance(root["$defs"][schema["$ref"].rpartition("/")[2]], prompt, root)
    if "enum" in schema or "const" in schema:
        return schema.get("const", (schema.get("enum") or [None])[0])
    if kinds := schema.get("anyOf"):
        return instance(kinds[0], prompt, root)
    match schema.get("type"):
        case "integer" | "number":
            found = re.search(r"\d+", prompt)
            return int(found[0]) if found else 1
        case "boolean":
            return True
        case "array":
            return [instance(schema.get("items") or {}, prompt, root)]
        case "object":
            fields = schema.get("properties") or {}
            return {name: instance(field, prompt, root) for name, field in fields.items()}
        case "null":
            return None
    found = re.search(r"'([^']+)'", prompt)
    return found[1] if found else "a text"


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content or ())


def _call(name: str, arguments: Any) -> Script:
    """Streamed or whole."""
    text = json.dumps(arguments, ensure_ascii=False)
    call = {"id": "call_1", "type": "function"}
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "tool_calls": [{**call, "index": 0, "function": {"name": name, "arguments": text[:3]}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": text[3:]}}]},
        {},
    ]
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices[-1]["finish_reason"] = "tool_calls"
    head = {"id": "x", "created": 1, "model": "m"}
    usage = {"usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}
    chunks = [{"choices": [choice]} for choice in choices] + [{"choices": [], **usage}]
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{**call, "function": {"name": name, "arguments": text}}],
    }
    whole = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}], **usage}
    return Script(
        frames=[
            *(b"data: " + _json({**head, "object": "chat.completion.chunk", **chunk}) + b"\n\n" for chunk in chunks),
            END_OF_CHUNKS,
        ],
        body=_json({**head, "object": "chat.completion", **whole}),
    )


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
