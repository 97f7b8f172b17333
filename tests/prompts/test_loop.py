"""Where an agent's loop over tools stands."""

from __future__ import annotations

from typing import Any

import pytest

from router_backend.prompts import Step, step_of

Message = dict[str, Any]
TASK: Message = {"role": "user", "content": "Fix the build"}


def call(name: str) -> Message:
    return {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": name, "arguments": "{}"}}]}


def result(text: str = "ok") -> Message:
    return {"role": "tool", "tool_call_id": "1", "content": text}


@pytest.mark.parametrize(
    ("messages", "step"),
    [
        ([TASK], Step()),
        ([TASK, call("Read"), result()], Step(1, "read")),
        ([TASK, call("Read"), result(), call("apply_patch"), result()], Step(2, "write")),
        ([TASK, call("Bash"), result("Error: no such file")], Step(1, "run", failed=True)),
        ([TASK, call("Read"), result("Error: x"), call("mcp__files__listAll"), result(), result()], Step(2, "read")),
        ([TASK, call("ask_oracle"), result()], Step(1, "other")),
        ([TASK, call("Read"), result(), {"role": "assistant", "content": "done"}, TASK], Step()),
        ([TASK, call("Read"), result(), {"role": "assistant", "content": "done"}], Step()),
        ([call("Read"), result()], Step(1, "read")),
        (
            [TASK, {"role": "assistant", "content": "Action: ls"}, {"role": "user", "content": "Observation: a"}],
            Step(1, "other"),
        ),
        (
            [TASK, call("Bash"), result(), {"role": "user", "content": "<system-reminder>x</system-reminder>"}],
            Step(1, "run"),
        ),
        ([TASK, call("Bash"), result(), {"role": "user", "content": "stop"}], Step()),
    ],
)
def test_the_step_of_a_loop(messages: list[Message], step: Step) -> None:
    assert step_of([{"role": "system", "content": "You are an agent."}, *messages]) == step


def test_oddities_are_no_mistake() -> None:
    odd = [{"role": "assistant", "tool_calls": [{}]}, {"role": "tool", "content": [{"type": "text"}]}]
    assert step_of(odd) == Step(1, "other")
