"""Two gateways in front of one Triton: a conversation is the same one for both, so that its router knows who answered."""

from __future__ import annotations

from typing import Any

from tests.gateway.conftest import Serve
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import ScriptedUpstream


async def test_a_conversation_has_one_session_whichever_gateway_it_comes_to(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    first, second = [await serve(upstream, triton=triton, arm={"capabilities": ["tools"]}) for _ in range(2)]
    tool: dict[str, Any] = {"type": "function", "function": {"name": "ls", "parameters": {}}}
    history: list[dict[str, Any]] = [{"role": "user", "content": "List the files of this folder."}]
    for gateway in (first, second, first):
        assert (await gateway.chat(messages=history, tools=[tool])).status_code == 200
        call = {"id": f"c{len(history)}", "type": "function", "function": {"name": "ls", "arguments": "{}"}}
        history += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call["id"], "content": "a.txt"},
        ]
    asked = triton.asked
    assert len({each["session_id"] for each in asked}) == 1
    assert ["previous_model" in each for each in asked] == [False, False, True]  # the second one was left to the router
