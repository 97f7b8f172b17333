"""Where an agent's loop over tools stands: how many rounds it has done for the user's last request, with which tools, and whether
the last one failed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from router_backend.prompts.messages import is_step, text_of, turns_of

MAX_JSON = 64 * 1024
"""Characters of a result's JSON that are read."""
ToolKind = Literal["", "read", "write", "run", "other"]
TOOL_KINDS: tuple[ToolKind, ...] = ("read", "write", "run", "other")
# Words in the names of agents' tools (Claude Code, Codex, OpenHands, SWE-agent, Cline, MCP servers).
_NAMES: dict[ToolKind, str] = {
    "run": "run bash shell exec execute terminal command cmd python ipython test process computer click",
    "write": "write edit patch replace create update delete insert apply move rename add remove str",
    "read": "read view open get list ls glob grep search find fetch cat browse query look show web todo think",
}
_WORDS = {word: kind for kind, names in _NAMES.items() for word in names.split()}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
# How a tool's failure is told where the API has no field for it. Only the opening counts: a log that holds an error is a result.
_FAILURE = re.compile(
    r"\s*(?:(?:\w{0,40}(?:Error|Exception)|error|failed|exception)\b\s*[:!]|traceback \(most recent call last\)|the tool failed\."
    r"|<tool_use_error>|エラー\s*[::])",
    re.IGNORECASE,
)
_FLAGS = ("is_error", "isError")


@dataclass(frozen=True, slots=True)
class Step:
    """Of a loop; the user's own turn is at depth 0."""

    depth: int = 0  # rounds of tools since the user's last request
    tool: ToolKind = ""  # what the last round's first tool does, by its name
    failed: bool = False  # whether the last result tells of a failure
    beside: str = ""  # all of the user's own turn if it holds a result: the same words may be about another one


def step_of(messages: Sequence[Mapping[str, Any]]) -> Step:
    """The step that a chat request asks for."""
    depth, calls, result = 0, None, None
    for message, turn in zip(reversed(messages), reversed(turns_of(messages)), strict=True):
        role = message.get("role")
        if role == "tool" or (turn and is_step(turn)):
            result = message if result is None else result
            depth += role == "user"  # an agent without calls has one result in each round
        elif role == "assistant":
            if result is None:  # its answer stands: no tool is waited for
                return Step()
            if message.get("tool_calls"):
                depth += 1
                calls = calls or message["tool_calls"]
        elif turn and turn[0]:
            if result is None:
                return Step(beside=text_of(message.get("content")) if turn[1] else "")
            break
    if result is None:
        return Step()
    return Step(max(depth, 1), _kind(calls), _failed(result.get("content")))


def failed_calls(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Ids of the calls, of the last answer in a conversation, that the client reports as failed."""
    for message in reversed(messages):
        if message.get("role") != "tool":
            return
        identity = message.get("tool_call_id")
        if isinstance(identity, str) and identity and _failed(message.get("content")):
            yield identity


def _kind(calls: Any) -> ToolKind:
    call = calls[0] if isinstance(calls, list) and calls else None
    function = call.get("function") if isinstance(call, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(name, str):
        return "other"
    words = (_WORDS.get(word.lower()) for word in _WORD.findall(name[:100]))
    return next((kind for kind in words if kind), "other")


def _failed(content: Any) -> bool:
    if isinstance(content, list):
        content = next((part.get("text") for part in content if isinstance(part, dict) and part.get("text")), "")
    if not isinstance(content, str):
        return False
    if _FAILURE.match(content[:200]):
        return True
    if not content.lstrip().startswith("{") or len(content) > MAX_JSON:
        return False
    try:
        result = orjson.loads(content)
    except ValueError:
        return False
    return bool(result.get("error")) or any(result.get(flag) is True for flag in _FLAGS)
