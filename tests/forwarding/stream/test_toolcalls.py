"""Streamed tool calls reach SDKs with an index each, whatever the server sends."""

from __future__ import annotations

from typing import Any

import pytest

from router_backend.forwarding.stream.toolcalls import ToolCallIndices


def call(
    index: int | None = None, id: str | None = None, name: str | None = None, arguments: str = ""
) -> dict[str, Any]:
    delta: dict[str, Any] = {"function": {"arguments": arguments}}
    if index is not None:
        delta["index"] = index
    if id is not None:
        delta["id"] = id
    if name is not None:
        delta["function"]["name"] = name
    return delta


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        ([call(0, "x", "f"), call(0, arguments="{"), call(1, "y", "g"), call(1, arguments="{")], [0, 0, 1, 1]),
        ([call(None, "x", "f"), call(None, arguments="{"), call(None, "y", "g"), call(None)], [0, 0, 1, 1]),
        ([call(0, "x", "f"), call(0, arguments="{"), call(0, "y", "g"), call(0, arguments="{")], [0, 0, 1, 1]),
        ([call(0, "x", "f"), call(0, "x", arguments="{"), call(0, "z", arguments="}")], [0, 0, 0]),
        ([call(1, "x", "f"), call(1, arguments="{")], [0, 0]),
        ([call(None, None, "f"), call(None), call(None, None, "g")], [0, 0, 1]),
        ([call(0, "", "f"), call(0, "", "f", "{")], [0, 0]),
    ],
    ids=["correct", "no index", "index reused", "id repeated", "from one", "name alone", "empty ids"],
)
def test_each_call_keeps_one_index(deltas: list[dict[str, Any]], expected: list[int]) -> None:
    indices = ToolCallIndices()
    for delta in deltas:
        indices.repair(0, [delta])
    assert [delta["index"] for delta in deltas] == expected


def test_choices_are_apart_and_correct_deltas_are_left_alone() -> None:
    indices = ToolCallIndices()
    assert not indices.repair(0, [call(0, "x", "f")])
    assert not indices.repair(1, [call(0, "y", "f")])
    assert not indices.repair(0, "garbage")
