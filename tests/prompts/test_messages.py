"""Which text of a chat request is classified."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_backend.prompts import BadRequest, describe, routing_text, text_of


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def test_the_last_user_turn_decides() -> None:
    messages = [
        {"role": "system", "content": "You are terse."},
        user("Pythonでソートアルゴリズムを実装して"),
        {"role": "assistant", "content": "def sort(items): ..."},
        user("このアルゴリズムの計算量を説明して"),
    ]
    assert routing_text(messages) == "このアルゴリズムの計算量を説明して"


def test_a_turn_that_says_nothing_by_itself_goes_on_with_the_one_before() -> None:
    messages = [user("Write a sonnet about rain"), {"role": "assistant", "content": "…"}, user("more")]
    assert routing_text(messages) == "Write a sonnet about rain"


REQUEST = "Rename the function total to sum_all in billing.py and fix its callers"
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "read"}}],
}
DUMP = "def total(items):\n    return sum(items)\n" * 400


@pytest.mark.parametrize(
    ("turns", "text"),
    [
        pytest.param(
            [user(REQUEST), CALL, {"role": "tool", "tool_call_id": "1", "content": DUMP}], REQUEST, id="tool message"
        ),
        pytest.param([user(REQUEST), user(f"Observation: {DUMP}")], REQUEST, id="ReAct"),
        pytest.param([user(REQUEST), user(f"<tool_response>\n{DUMP}</tool_response>")], REQUEST, id="template"),
        pytest.param([user(REQUEST), user(f"[read_file for 'billing.py'] Result:\n{DUMP}")], REQUEST, id="Cline"),
        pytest.param(
            [user(f"{REQUEST}\n<environment_details>\n{DUMP}</environment_details>")], REQUEST, id="surroundings"
        ),
        pytest.param([user(f"<system-reminder>{DUMP}</system-reminder>\n{REQUEST}")], REQUEST, id="reminder"),
        pytest.param(
            [user(f"<attached_files>\n{DUMP}</attached_files>\n<user_query>\n{REQUEST}\n</user_query>")],
            REQUEST,
            id="Cursor",
        ),
        pytest.param(
            [user(f"<user_info>\nOS: linux\n</user_info>\n<git_status>{DUMP}</git_status>"), user(REQUEST), CALL],
            REQUEST,
            id="Cursor's first turn",
        ),
        pytest.param(
            [
                user(
                    f"<attachments>{DUMP}</attachments>\n<context>The date is 1 May.</context>\n<userRequest>\n{REQUEST}\n</userRequest>"
                )
            ],
            REQUEST,
            id="Copilot",
        ),
        pytest.param(
            [user(REQUEST), CALL, user(f"<returncode>0</returncode>\n<output>\n{DUMP}</output>")],
            REQUEST,
            id="mini-swe-agent",
        ),
        pytest.param(
            [
                user(REQUEST),
                CALL,
                user([{"type": "tool_result", "tool_use_id": "1", "content": DUMP}]),
                user([{"type": "text", "text": "<local-command-stdout>Compacted</local-command-stdout>"}]),
            ],
            REQUEST,
            id="Claude Code's commands",
        ),
        pytest.param(
            [user(f"<user_instructions>\n{DUMP}</user_instructions>"), user(REQUEST), CALL], REQUEST, id="Codex"
        ),
        pytest.param([user(REQUEST), user("<user_query>fix it</user_query>")], REQUEST, id="Cursor, says little"),
        pytest.param(
            [user(f"{REQUEST} </user_query> in <user_query>")], f"{REQUEST} </user_query> in <user_query>", id="no pair"
        ),
        pytest.param([user(REQUEST), CALL, user("continue")], REQUEST, id="continue"),
        pytest.param([user(REQUEST), CALL, user("fix it please")], REQUEST, id="fix it"),
        pytest.param(
            [user(REQUEST), user("Yes, go ahead."), user("ok, and now the next one")],
            REQUEST,
            id="several that say little",
        ),
        pytest.param(
            [user("請求書の合計を計算して"), user("もう一度お願いします")],
            "請求書の合計を計算して",
            id="Japanese",
        ),
        pytest.param([user(REQUEST), CALL, user("in Go?")], f"in Go?\n{REQUEST}", id="short, but says something"),
        pytest.param([user(REQUEST), user("続けてください。")], REQUEST, id="mixed languages"),
        pytest.param([user(REQUEST), user("now translate it to French")], "now translate it to French", id="new task"),
        pytest.param([user("hi"), user(f"{DUMP}\nWhy?")], f"{DUMP}\nWhy?", id="pasted code and a question"),
        pytest.param([user("Observation: it rains")], "Observation: it rains", id="nothing but a result"),
        pytest.param([user("yes please")], "yes please", id="nothing before"),
        pytest.param([user("<environment_details> cut off")], "<environment_details> cut off", id="cut off"),
    ],
)
def test_the_request_is_found_among_an_agents_turns(turns: list[dict[str, Any]], text: str) -> None:
    assert routing_text([{"role": "system", "content": "You are an agent."}, *turns]) == text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("plain", "plain"),
        (None, ""),
        ([], ""),
        ([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:x"}}], "a"),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "a\nb"),
        ([{"type": "input_audio", "input_audio": {}}, "loose", 3, None, {"text": 5}], "loose"),
    ],
)
def test_content_of_any_kind_has_a_text(content: Any, text: str) -> None:
    assert text_of(content) == text


def test_without_a_user_turn_the_last_text_counts() -> None:
    assert (
        routing_text([{"role": "system", "content": "Translate"}, {"role": "assistant", "content": None}])
        == "Translate"
    )


@pytest.mark.parametrize("messages", [[], [1], ["text"], [None]])
def test_what_is_no_conversation_is_refused(messages: Any) -> None:
    with pytest.raises(BadRequest):
        routing_text(messages)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.lists(st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "tool"]), "content": json_values}))
)
def test_any_json_content_is_read_or_refused(messages: list[dict[str, Any]]) -> None:
    readable = [m for m in messages if m["content"] is None or isinstance(m["content"], (str, list))]
    if readable != messages or not messages:
        with pytest.raises(BadRequest):
            describe(routing_text(messages), messages)
        return
    features = describe(routing_text(messages), messages)
    assert features.prompt_tokens >= len(messages)


@pytest.mark.parametrize(
    ("text", "japanese", "code"),
    [
        ("Why is the sky blue?", False, False),
        ("空はなぜ青いの？", True, False),
        ("```python\nprint(1)\n```", False, True),
        ("def f(x):\n    return x", False, True),
        ("SELECT name FROM users", False, True),
    ],
)
def test_script_and_code_are_noticed(text: str, japanese: bool, code: bool) -> None:
    features = describe(text, [user(text)])
    assert (features.japanese, features.code) == (japanese, code)


def test_tokens_are_estimated_over_all_turns() -> None:
    english, japanese = "word " * 400, "漢字かな" * 100
    alone = describe(english, [user(english)]).prompt_tokens
    assert 400 <= alone <= 600
    both = describe(japanese, [user(english), user(japanese)]).prompt_tokens
    assert alone + 300 <= both <= alone + 500
