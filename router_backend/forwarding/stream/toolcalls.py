"""Indices of streamed tool calls, which SDKs assemble by and which some servers leave out or use twice."""

from __future__ import annotations

from typing import Any

MAX_CALLS = 256
"""Of one choice: each delta is compared with all calls before it."""


class TooManyCalls(ValueError):
    """A choice with more than `MAX_CALLS` tool calls."""


class ToolCallIndices:
    """Gives each tool call of a choice an index of its own. A delta that names a function begins a call."""

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls: dict[Any, list[tuple[Any, str | None]]] = {}  # choice -> (server's index, id) by our index

    def repair(self, choice: Any, deltas: Any) -> bool:
        """Correct `deltas` in place; returns whether anything changed.

        Raises:
            TooManyCalls: of one choice, or of one chunk.
        """
        if not isinstance(deltas, list):
            return False
        if len(deltas) > MAX_CALLS:
            raise TooManyCalls(f"more than {MAX_CALLS} tool calls")
        calls = self._calls.setdefault(choice, [])
        changed = False
        for delta in deltas:
            if not isinstance(delta, dict):
                continue
            theirs, ours = delta.get("index"), self._place(calls, delta)
            if theirs != ours:
                delta["index"] = ours
                changed = True
        return changed

    @staticmethod
    def _place(calls: list[tuple[Any, str | None]], delta: dict[str, Any]) -> int:
        theirs, identity = delta.get("index"), delta.get("id") or None
        function = delta.get("function")
        begins = bool(isinstance(function, dict) and function.get("name"))
        known = [place for place, (index, _) in enumerate(calls) if index == theirs]
        if known:
            last = known[-1]
            same = identity is None or calls[last][1] in (None, identity)
            if theirs is None and begins and identity is None:
                same = False  # neither index nor id: a name is the only sign of a new call
            if same or not begins:
                return last
        elif theirs is None and calls and not begins:
            return len(calls) - 1
        if len(calls) == MAX_CALLS:
            raise TooManyCalls(f"more than {MAX_CALLS} tool calls")
        calls.append((theirs, identity))
        return len(calls) - 1
