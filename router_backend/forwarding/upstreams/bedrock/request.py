"""A chat request as Converse takes it; what can't be honoured is refused, never dropped.

Source: API_runtime_Converse of the Amazon Bedrock API Reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from router_backend.config.models import BedrockUpstream
from router_backend.core.jsonio import dump
from router_backend.core.unread import LISTS, Unread
from router_backend.forwarding.upstreams.bedrock.content import blocks_of, cache_point, texts_of
from router_backend.forwarding.upstreams.bedrock.refusal import refusal

Json = dict[str, Any]

# Fields that are read here, or that change nothing about an answer.
_READ = frozenset(
    [
        "model",
        "messages",
        "stream",
        "stream_options",
        "user",
        "metadata",
        "store",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "parallel_tool_calls",
        "verbosity",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "stop",
        "tools",
        "tool_choice",
        "response_format",
        "reasoning_effort",
        "seed",  # "best effort" in OpenAI's words; Bedrock has none
    ]
)
_ABSENT: dict[str, tuple[Any, ...]] = {  # values that say the same as leaving the field out
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "presence_penalty": (0, 0.0),
    "frequency_penalty": (0, 0.0),
    "functions": ([],),
    "function_call": ("none", "auto"),
}
_ROLES = {"user": "user", "assistant": "assistant", "tool": "user"}
_SYSTEM = ("system", "developer")
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def converse_body(arm: str, upstream: BedrockUpstream, body: Mapping[str, Any]) -> Json:
    """Converse's body, as JSON has it (bytes are base64 text).

    Raises:
        Failure: a field has a wrong value, or one that can't be honoured.
    """
    for name, value in body.items():
        if value is None or name in _READ:
            continue
        if not any(value == absent and type(value) is type(absent) for absent in _ABSENT.get(name, ())):
            raise refusal(name, f"{arm} (Bedrock) can't honour {name!r}; leave it out or choose another model", True)
    system, messages = _conversation(arm, body.get("messages"))
    found: Json = {"messages": messages}
    if system:
        found["system"] = system
    if inference := _inference(body):
        found["inferenceConfig"] = inference
    if tools := _tools(arm, body, _calls(messages)):
        found["toolConfig"] = tools
    if output := _output(arm, body):
        found["outputConfig"] = output
    if upstream.request_fields:
        found["additionalModelRequestFields"] = upstream.request_fields
    _set_cache_points(found, upstream.cache_points)
    return found


def without_cache_points(body: Json) -> Json:
    """Converse's body without marks for a cache, which change no answer."""

    def unmarked(blocks: list[Json]) -> list[Json]:
        return [block for block in blocks if "cachePoint" not in block]

    said = {**body, "messages": [{**turn, "content": unmarked(turn["content"])} for turn in body["messages"]]}
    if "system" in body:
        said["system"] = unmarked(body["system"])
    if "toolConfig" in body:
        said["toolConfig"] = {**body["toolConfig"], "tools": unmarked(body["toolConfig"]["tools"])}
    return said


def _conversation(arm: str, given: Any) -> tuple[list[Json], list[Json]]:
    """System prompts, and turns that alternate: neighbours of one role become one."""
    if not isinstance(given, LISTS) or not given:
        raise refusal("messages", "messages must be a list with at least one message")
    system: list[Json] = []
    turns: list[Json] = []
    for place, message in enumerate(given):
        message = message.value() if isinstance(message, Unread) else message
        where = f"messages[{place}]"
        role = message.get("role") if isinstance(message, dict) else None
        if role in _SYSTEM:
            system += texts_of(arm, where, message)
            continue
        if role not in _ROLES:
            raise refusal(where, f"{arm} (Bedrock) knows no role {role!r}", True)
        blocks = blocks_of(arm, where, message)
        if not blocks:
            continue
        if turns and turns[-1]["role"] == _ROLES[role]:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": _ROLES[role], "content": blocks})
    if not turns:
        raise refusal("messages", "messages must have at least one message that is not the system's, with text")
    return system, turns


def _inference(body: Mapping[str, Any]) -> Json:
    found: Json = {}
    limit = next((body[n] for n in ("max_completion_tokens", "max_tokens") if body.get(n) is not None), None)
    if limit is not None:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise refusal("max_tokens", "max_tokens must be a whole number from 1")
        found["maxTokens"] = limit
    for name, theirs, highest in (("temperature", "temperature", 2.0), ("top_p", "topP", 1.0)):
        value = body.get(name)
        if value is not None:
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= highest:
                raise refusal(name, f"{name} must be a number from 0 to {highest:g}")
            # Models behind Bedrock know temperatures up to 1; OpenAI's above that are as random.
            found[theirs] = min(float(value), 1.0)
    stops = body.get("stop")
    if stops is not None:
        stops = [stops] if isinstance(stops, str) else stops
        if not isinstance(stops, list) or not all(isinstance(stop, str) and stop for stop in stops):
            raise refusal("stop", "stop must be a string or a list of strings, none of them empty")
        if stops:
            found["stopSequences"] = stops
    return found


def _calls(messages: list[Json]) -> list[str]:
    """Names of the tools that the conversation has called."""
    blocks = (block for message in messages for block in message["content"])
    return [block["toolUse"]["name"] for block in blocks if "toolUse" in block]


def _tools(arm: str, body: Mapping[str, Any], called: list[str]) -> Json | None:
    """None: there are none. Converse wants the tools that a conversation has used even where none may be called."""
    given = body.get("tools")
    given = given.value() if isinstance(given, Unread) else given
    choice = body.get("tool_choice")
    if not given:
        if not called:
            return None
        given = [{"function": {"name": name}} for name in dict.fromkeys(called)]
    elif choice == "none" and not called:
        return None
    if not isinstance(given, LISTS):
        raise refusal("tools", "tools must be a list")
    found: Json = {"tools": [item for place, tool in enumerate(given) for item in _tool(arm, f"tools[{place}]", tool)]}
    if choice == "required":
        found["toolChoice"] = {"any": {}}
    elif isinstance(choice, dict):
        function = choice.get("function")
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(name, str):
            raise refusal("tool_choice", "tool_choice must name a function")
        found["toolChoice"] = {"tool": {"name": name}}
    elif choice not in (None, "auto", "none"):
        raise refusal("tool_choice", "tool_choice must be none, auto, required or name a function")
    return found


def _tool(arm: str, where: str, tool: Any) -> Iterator[Json]:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict):
        raise refusal(where, f"{arm} (Bedrock) takes tools that are functions", True)
    name, schema = function.get("name"), function.get("parameters")
    if not isinstance(name, str) or not _TOOL_NAME.fullmatch(name):
        raise refusal(
            f"{where}.function.name", f"{arm} (Bedrock) takes names of up to 64 letters, digits, _ and -", True
        )
    if schema is not None and not isinstance(schema, dict):
        raise refusal(f"{where}.function.parameters", "parameters must be a JSON schema")
    spec: Json = {"name": name, "inputSchema": {"json": schema or {"type": "object", "properties": {}}}}
    if isinstance(function.get("description"), str) and function["description"].strip():
        spec["description"] = function["description"]
    if function.get("strict") is True:
        spec["strict"] = True
    yield {"toolSpec": spec}
    yield from cache_point(tool)


def _output(arm: str, body: Mapping[str, Any]) -> Json:
    found: Json = {}
    effort = body.get("reasoning_effort")
    if isinstance(effort, str) and effort not in ("none", ""):
        found["effort"] = effort
    answer = body.get("response_format")
    kind = answer.get("type") if isinstance(answer, dict) else None
    if answer is None or kind == "text":
        return found
    if kind == "json_object":
        raise refusal("response_format", f"{arm} (Bedrock) takes json_schema, not json_object", True)
    asked = answer.get("json_schema") if kind == "json_schema" else None
    if not isinstance(asked, dict) or not isinstance(asked.get("schema"), dict):
        raise refusal("response_format", "response_format must be text, json_object, or json_schema with a schema")
    schema: Json = {"schema": dump(asked["schema"]).decode()}
    schema |= {name: asked[name] for name in ("name", "description") if isinstance(asked.get(name), str)}
    found["textFormat"] = {"type": "json_schema", "structure": {"jsonSchema": schema}}
    return found


_POINT = {"cachePoint": {"type": "default"}}
_MOST = 4  # points that Bedrock takes


def _set_cache_points(found: Json, places: frozenset[str]) -> None:
    """What is the same in every request stands in front: tools, system, then the conversation so far. The client's own come first."""
    tools, system = found.get("toolConfig", {}).get("tools"), found.get("system")
    talk = [message["content"] for message in found["messages"]]
    room = _MOST - sum("cachePoint" in block for blocks in (tools, system, *talk) for block in blocks or ())
    for place, blocks in (("tools", tools), ("system", system), ("messages", talk[-1])):
        if room > 0 and place in places and blocks and "cachePoint" not in blocks[-1]:
            blocks.append(dict(_POINT))
            room -= 1
