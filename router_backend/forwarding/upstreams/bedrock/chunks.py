"""Converse's answers in OpenAI's words: events to chunks, and a whole answer to a body."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

from router_backend.core.jsonio import dump
from router_backend.forwarding.stream.sse import DONE

Json = dict[str, Any]

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
MALFORMED = frozenset(("malformed_model_output", "malformed_tool_use"))
"""Stop reasons of answers that are none."""


class ChunkWriter:
    """The chunks of one stream. Blocks come one after the other, each with its place in the answer."""

    def __init__(self, arm: str) -> None:
        self._head = {"id": f"chatcmpl-{uuid4().hex}", "object": "chat.completion.chunk", "created": int(time.time())}
        self._head["model"] = arm
        self._calls: dict[Any, list[Any]] = {}  # by block: place among the calls, and whether arguments came
        self._thoughts: dict[Any, Json] = {}  # by block

    def begin(self) -> bytes:
        return self._chunk({"role": "assistant", "content": ""})

    def start(self, event: Json) -> list[bytes]:
        """A block begins; those of text and thoughts have no event for that."""
        begun = event.get("start")
        use = begun.get("toolUse") if isinstance(begun, dict) else None
        if not isinstance(use, dict):
            return []
        place = len(self._calls)
        self._calls[event.get("contentBlockIndex")] = [place, False]
        function = {"name": str(use.get("name")), "arguments": ""}
        call = {"index": place, "id": str(use.get("toolUseId")), "type": "function", "function": function}
        return [self._chunk({"tool_calls": [call]})]

    def delta(self, event: Json) -> list[bytes]:
        """More of a block."""
        delta, block = event.get("delta"), event.get("contentBlockIndex")
        if not isinstance(delta, dict):
            return []
        if isinstance(delta.get("text"), str):
            return [self._chunk({"content": delta["text"]})]
        use, thought = delta.get("toolUse"), delta.get("reasoningContent")
        if isinstance(use, dict) and isinstance(use.get("input"), str) and block in self._calls:
            call = self._calls[block]
            call[1] |= bool(use["input"])
            return [self._chunk({"tool_calls": [{"index": call[0], "function": {"arguments": use["input"]}}]})]
        if isinstance(thought, dict):
            return self._thought(block, thought)
        return []

    def stop(self, event: Json) -> list[bytes]:
        """A block ends. A call without arguments has an empty object; a thought is repeated with its signature."""
        block = event.get("contentBlockIndex")
        if (call := self._calls.get(block)) and not call[1]:
            return [self._chunk({"tool_calls": [{"index": call[0], "function": {"arguments": "{}"}}]})]
        thought = self._thoughts.pop(block, None)
        if thought and ("signature" in thought or "data" in thought):
            if "thinking" in thought:
                thought = {**thought, "thinking": "".join(thought["thinking"])}
            return [self._chunk({"thinking_blocks": [thought]})]
        return []

    def finish(self, event: Json) -> bytes:
        return self._chunk({}, FINISH.get(str(event.get("stopReason")), "stop"))

    def usage(self, event: Json) -> list[bytes]:
        """What was counted, and the end."""
        usage = usage_of(event.get("usage"))
        chunks = [dump({**self._head, "choices": [], "usage": usage})] if usage else []
        return [*chunks, DONE]

    def _thought(self, block: Any, delta: Json) -> list[bytes]:
        if isinstance(delta.get("redactedContent"), str):
            self._thoughts[block] = {"type": "redacted_thinking", "data": delta["redactedContent"]}
            return []
        thought = self._thoughts.setdefault(block, {"type": "thinking", "thinking": []})
        if isinstance(delta.get("signature"), str):
            thought["signature"] = thought.get("signature", "") + delta["signature"]
        if isinstance(delta.get("text"), str) and "thinking" in thought:
            thought["thinking"].append(delta["text"])
            return [self._chunk({"reasoning_content": delta["text"]})]
        return []

    def _chunk(self, delta: Json, finish: str | None = None) -> bytes:
        return dump(
            {**self._head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}
        )


def usage_of(usage: Any) -> Json | None:
    """OpenAI's usage. Bedrock counts what a cache held or took apart from the other tokens of the prompt."""
    if not isinstance(usage, dict):
        return None
    read, written = (_count(usage.get(f"cache{name}InputTokens")) for name in ("Read", "Write"))
    prompt, completion = _count(usage.get("inputTokens")) + read + written, _count(usage.get("outputTokens"))
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
    }


def whole(arm: str, answer: Json) -> Json | None:
    """OpenAI's body of a Converse answer; None if it is none."""
    output = answer.get("output")
    message = output.get("message") if isinstance(output, dict) else None
    blocks = message.get("content") if isinstance(message, dict) else None
    if not isinstance(blocks, list):
        return None
    texts, thoughts, thinking, calls = [], [], [], []
    for block in blocks:
        if not isinstance(block, dict):
            continue
        use, reasoning = block.get("toolUse"), block.get("reasoningContent")
        if isinstance(block.get("text"), str):
            texts.append(block["text"])
        elif isinstance(use, dict):
            function = {"name": str(use.get("name")), "arguments": dump(use.get("input") or {}).decode()}
            calls.append({"id": str(use.get("toolUseId")), "type": "function", "function": function})
        elif isinstance(reasoning, dict):
            text = reasoning.get("reasoningText")
            if isinstance(text, dict):
                thoughts.append(str(text.get("text") or ""))
                if text.get("signature"):
                    thinking.append({"type": "thinking", "thinking": thoughts[-1], "signature": text["signature"]})
            elif isinstance(reasoning.get("redactedContent"), str):
                thinking.append({"type": "redacted_thinking", "data": reasoning["redactedContent"]})
    said: Json = {"role": "assistant", "content": "".join(texts) if texts or not calls else None, "refusal": None}
    said |= {"reasoning_content": "".join(thoughts)} if thoughts else {}
    said |= {"thinking_blocks": thinking} if thinking else {}
    said |= {"tool_calls": calls} if calls else {}
    finish = FINISH.get(str(answer.get("stopReason")), "stop")
    body: Json = {
        "id": f"chatcmpl-{uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": arm,
        "choices": [{"index": 0, "message": said, "logprobs": None, "finish_reason": finish}],
    }
    usage = usage_of(answer.get("usage"))
    return body | ({"usage": usage} if usage else {})


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
