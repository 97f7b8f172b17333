"""Sessions without a header: conversations are recognised by what is sent again."""

from __future__ import annotations

from typing import Any

import pytest

from router_backend.core.records import Usage
from router_backend.gateway.conversations import Conversation, recognise
from router_backend.gateway.memory import Sessions
from tests.gateway.conftest import EACH_WIRE, Serve
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import ScriptedUpstream

Message = dict[str, Any]
SYSTEM: Message = {"role": "system", "content": "You are a coding agent. " * 20}
TOOLS = [{"type": "function", "function": {"name": "run", "parameters": {"type": "object"}}}]


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def said(text: str) -> Message:
    return {"role": "assistant", "content": text}


class Agent:
    """Sends its whole conversation with each request."""

    def __init__(self, sessions: Sessions, key: str = "k") -> None:
        self.sessions, self.key = sessions, key

    def ask(self, *messages: Message, model: str = "a", tokens: int = 1000, answered: bool = True) -> Conversation:
        found = recognise(self.key, {"tools": TOOLS, "messages": [SYSTEM, *messages]}, self.sessions)
        assert found is not None
        if answered:
            found.answered(self.sessions, model, Usage(prompt=tokens))
        return found


@pytest.fixture
def sessions() -> Sessions:
    return Sessions(100)


def test_a_conversation_goes_on(sessions: Sessions) -> None:
    agent, history = Agent(sessions), [user("Fix the build")]
    first = agent.ask(*history)
    assert (first.previous, first.parent_name, first.tokens) == ("", "", 0)
    for turn in range(30):
        history += [said(f"step {turn}"), {"role": "tool", "tool_call_id": "1", "content": "ok"}]
        found = agent.ask(*history, tokens=1000 + turn)
        assert (found.session, found.previous, found.parent_name) == (first.session, "a", "")
        assert found.warm["a"].tokens == (1000 if turn == 0 else 999 + turn)
        assert found.tokens >= found.warm["a"].tokens


def test_others_are_no_part_of_it(sessions: Sessions) -> None:
    history = [user("Fix the build"), said("done"), user("Thanks")]
    Agent(sessions).ask(history[0])
    assert Agent(sessions, key="other").ask(*history).previous == ""
    other = recognise("k", {"messages": [SYSTEM, *history]}, sessions)  # without tools
    assert other is not None
    assert other.previous == ""
    assert Agent(sessions).ask(user("Fix the tests"), said("done"), user("Thanks")).previous == ""
    assert Agent(sessions).ask(*history).previous == "a"


def test_the_same_beginning_is_asked_by_many(sessions: Sessions) -> None:
    """One-shot requests have no session to stay in."""
    agent = Agent(sessions)
    assert [agent.ask(user("Classify this")).previous for _ in range(3)] == ["", "", ""]


def test_marks_that_move_with_each_turn_change_nothing(sessions: Sessions) -> None:
    def system(turn: int) -> Message:
        text = f"x-anthropic-billing-header: cc_version=2; cch={turn};\nYou are an agent."
        return {"role": "system", "content": [{"type": "text", "text": text}]}

    marked = {"type": "text", "text": "Fix it", "cache_control": {"type": "ephemeral"}}
    first = recognise("k", {"messages": [system(1), {"role": "user", "content": [marked]}]}, sessions)
    assert first
    first.answered(sessions, "b", Usage(prompt=10))
    plain = {"type": "text", "text": "Fix it"}
    body = {"messages": [system(2), {"role": "user", "content": [plain]}, said("?"), user("Yes")]}
    second = recognise("k", body, sessions)
    assert second is not None
    assert (second.session, second.previous) == (first.session, "b")
    assert marked["cache_control"]  # what is sent stays as it is


def test_a_fork_is_a_new_session_that_remembers_its_parent(sessions: Sessions) -> None:
    agent = Agent(sessions)
    start = [user("Fix it"), said("one"), user("go on")]
    origin = agent.ask(start[0])
    agent.ask(*start, tokens=2000)
    agent.ask(*start, said("two"), user("and on"), tokens=3000)
    fork = agent.ask(*start, said("another"), user("and so on"), model="b", tokens=3100)
    assert fork.session != origin.session
    assert (fork.parent, fork.previous, fork.warm["a"].tokens) == (origin.session, "a", 2000)
    further = agent.ask(*start, said("another"), user("and so on"), said("x"), user("y"))
    assert (further.session, further.parent, further.previous) == (fork.session, origin.session, "b")
    stays = agent.ask(*start, said("two"), user("and on"), said("x"), user("y"))
    assert (stays.session, stays.previous) == (origin.session, "a")


def test_a_prompt_that_was_not_answered_forks_nothing(sessions: Sessions) -> None:
    agent, start = Agent(sessions), [user("Fix it"), said("one"), user("go on")]
    origin = agent.ask(start[0])
    agent.ask(*start, answered=False)
    assert agent.ask(start[0], said("one"), user("once more")).session == origin.session


def test_asking_for_another_answer_stays_in_the_session(sessions: Sessions) -> None:
    agent, start = Agent(sessions), [user("Fix it"), said("one"), user("go on")]
    origin = agent.ask(start[0])
    agent.ask(*start)
    again = agent.ask(*start)
    assert (again.session, again.parent_name) == (origin.session, "")


def test_compaction_is_a_new_session_that_remembers_its_parent(sessions: Sessions) -> None:
    agent = Agent(sessions)
    origin = agent.ask(user("Fix it"), tokens=5000)
    agent.ask(user("Fix it"), said("one"), user("go on"), model="b")
    summary = "This session is being continued from a previous conversation that ran out of context. Summary: …"
    compacted = agent.ask(user(summary))
    assert compacted.session != origin.session
    assert (compacted.parent, compacted.previous) == (origin.session, "b")
    # Codex keeps what the user said, and puts the summary behind it.
    kept = agent.ask(user("Fix it"), user("Another language model started to solve this problem and …"))
    assert (kept.parent_name, kept.previous) == (compacted.name, "a")
    # Others keep the beginning and go on from it.
    cut = agent.ask(user("Fix it"), said("(earlier turns were left out)"), user("go on"))
    assert cut.parent == origin.session
    assert cut.session != origin.session


def test_the_instructions_are_warm_for_a_new_conversation(sessions: Sessions) -> None:
    agent = Agent(sessions)
    agent.ask(user("Fix it " * 100), tokens=1000)
    fresh = agent.ask(user("Something else"))
    assert fresh.previous == ""
    assert 0 < fresh.warm["a"].tokens < 600


def test_a_conversation_that_began_elsewhere_has_the_same_name(sessions: Sessions) -> None:
    origin = Agent(Sessions(10)).ask(user("Fix it"))
    moved = Agent(sessions).ask(user("Fix it"), said("one"), user("go on"))
    assert (moved.session, moved.previous) == (origin.session, "")


def test_memory_is_bounded() -> None:
    agent = Agent(Sessions(10))
    for number in range(100):
        agent.ask(user(f"task {number}"))
    assert len(agent.sessions._turns) == 10


def test_what_is_no_chat_is_no_conversation(sessions: Sessions) -> None:
    assert recognise("k", {"prompt": "Once"}, sessions) is None
    assert recognise("k", {"messages": []}, sessions) is None


@EACH_WIRE
async def test_the_router_hears_of_a_conversation_without_a_header(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, second, triton=triton)
    history = [user("Fix the build")]
    first = await gateway.chat(messages=history)
    history += [said("What is wrong?"), user("It is red")]
    triton.models = ["b", "a"]
    second_answer = await gateway.chat(messages=history)
    sessions = [asked["session_id"] for asked in triton.asked]
    assert sessions[0] == sessions[1]
    assert "previous_model" not in triton.asked[0]
    assert triton.asked[1]["previous_model"] == "a"
    assert second_answer.headers["x-router-switched"] == "true"
    assert "Fix the build" not in str(sessions)
    decision = await gateway.http.get(f"/v1/decisions/{first.headers['x-router-decision-id']}")
    assert decision.json()["session"] == {"id": sessions[0], "parent": None}


async def test_all_surfaces_are_one_conversation_each(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, triton=triton)
    history: list[Message] = [user("Fix the build")]
    for _ in range(2):
        body = {"model": "auto", "max_tokens": 9, "messages": history}
        assert (await gateway.http.post("/v1/messages", json=body)).status_code == 200
        items = [{"type": "message", **message} for message in history]
        assert (await gateway.http.post("/v1/responses", json={"model": "auto", "input": items})).status_code == 200
        history = [*history, said("What is wrong?"), user("It is red")]
    assert ["previous_model" in asked for asked in triton.asked] == [False, False, True, True]
