"""A user's turn with a tool's result in it: what is asked beside the result."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_backend.prompts import Step, routing_text, step_of, text_of
from router_backend.prompts.turns import RESULT_TAGS, asked

BEFORE = "Find out why the nightly build of the billing service fails"
ASKED = "Now fix it and run the tests again"
DUMP = "def total(items):\n    return sum(items)\n\nSummarise them?\n" * 50
NOTE = "<environment_details>\n# Time\n12:00\n</environment_details>"


def said(text: str) -> list[dict[str, Any]]:
    return [
        {"role": "user", "content": BEFORE},
        {"role": "assistant", "content": "…"},
        {"role": "user", "content": text},
    ]


@pytest.mark.parametrize(
    ("turn", "text"),
    [
        pytest.param(f"<tool_result>\n{DUMP}</tool_result>\n{ASKED}", ASKED, id="a result and a request"),
        pytest.param(f"<tool_result>{DUMP}</tool_result>\n\n{ASKED}", ASKED, id="DeepSeek's template"),
        pytest.param(f'<tool_result name="read" id="1">\n{DUMP}</tool_result>{ASKED}', ASKED, id="attributes"),
        pytest.param(
            f"<tool_response>\nA\n</tool_response>\n<tool_response>\nB\n</tool_response>\n{ASKED}", ASKED, id="two"
        ),
        pytest.param(f"<tool_results>\n<tool_result>A</tool_result>\n</tool_results>\n{ASKED}", ASKED, id="nested"),
        pytest.param(
            f"<function_results><error>no file</error></function_results>\n{ASKED}", ASKED, id="Claude's older form"
        ),
        pytest.param(
            f"<bash-stdout>ok</bash-stdout><bash-stderr></bash-stderr>\n{ASKED}", ASKED, id="Claude Code's shell"
        ),
        pytest.param(
            f"<system-reminder>x</system-reminder>\n<tool_result>{DUMP}</tool_result>\n{ASKED}", ASKED, id="note first"
        ),
        pytest.param(f"<tool_result>{DUMP}</tool_result>\n{ASKED}\n{NOTE}", ASKED, id="note last"),
        pytest.param(
            f"<tool_result>{DUMP}</tool_result>\n<user_query>{ASKED}</user_query>",
            ASKED,
            id="what the person typed is marked",
        ),
        pytest.param(
            f"<returncode>0</returncode>\n<output>\n{DUMP}</output>\n{ASKED}",
            ASKED,
            id="mini-swe-agent, with a request",
        ),
        pytest.param(f"{ASKED}\n\n<tool_result>\n{DUMP}</tool_result>", ASKED, id="the result behind"),
        pytest.param(
            f"The tool says:\n<tool_result>\n{DUMP}</tool_result>\nSummarise it for my boss",
            "The tool says:\n\nSummarise it for my boss",
            id="the result between",
        ),
        pytest.param(
            f"<tool_result>A</tool_result>\n{ASKED}\n<tool_result>{DUMP}</tool_result>", ASKED, id="the request between"
        ),
        pytest.param(
            f"<tool_result>\nif text.endswith('</tool_result>'):\n</tool_result>\nmore of the file\n</tool_result>\n{ASKED}",
            ASKED,
            id="a file that names the closing tag",
        ),
        pytest.param(
            f"<tool_result>\n<tool_result>\nof the file\n</tool_result>\n{ASKED}",
            ASKED,
            id="a file that names the opening tag",
        ),
        pytest.param(
            "<tool_result>A</tool_result>\nWhy does </tool_result> stand in my log?",
            "Why does </tool_result> stand in my log?",
            id="a request that names the closing tag",
        ),
        pytest.param("Observation: 3 rows\n\nSummarise them for my boss", "Summarise them for my boss", id="ReAct"),
        pytest.param(
            "Observation:\n| id |\n|---|\n| 1 |\n\nOk, now translate the result into French, please.",
            "Ok, now translate the result into French, please.",
            id="ReAct, a table",
        ),
        pytest.param("OBSERVATION: 3 rows\n\nWhy are these so few?", "Why are these so few?", id="a question"),
        pytest.param("Observation: 3件\n\n上司向けに要約して", "上司向けに要約して", id="Japanese"),
        pytest.param(
            "Observation: 3件\n\nこの結果を表にまとめてください。",
            "この結果を表にまとめてください。",
            id="Japanese, polite",
        ),
        pytest.param(f"Observation: {DUMP}\n<user_query>{ASKED}</user_query>", ASKED, id="ReAct, marked"),
        pytest.param(
            f"[attempt_completion] Result:\n<feedback>\n{ASKED}\n</feedback>\n\n{NOTE}",
            ASKED,
            id="Cline's feedback on the end",
        ),
        pytest.param(
            f"[execute_command for 'npm test\nnpm run lint'] Result:\nThe user denied this operation and provided the "
            f"following feedback:\n<feedback>\n{ASKED}\n</feedback>",
            ASKED,
            id="Cline's feedback on a command of two lines",
        ),
    ],
)
def test_what_is_asked_beside_a_result_is_the_request(turn: str, text: str) -> None:
    assert routing_text(said(turn)) == text
    assert step_of(said(turn)) == Step(beside=turn), "a request of the user's own begins another loop"


REACT = (
    "Answer the following questions as best you can. You have access to the following tools:\n\nsearch: finds pages\n\n"
    "Use the following format:\n\nQuestion: the input question you must answer\nThought: you should always think\n"
    "Action: the action to take\nAction Input: the input\nObservation: the result\n...\n"
    "Final Answer: the final answer\n\nBegin!\n\n"
)
PAD = " I should search\nAction: search\nAction Input: cats\nObservation: Question: what are cats?\n\nSummarise them.\nThought:"


@pytest.mark.parametrize(
    ("turn", "text"),
    [
        pytest.param(
            f"{REACT}Question: Who keeps\nmost cats?\nThought:{PAD}", "Who keeps\nmost cats?", id="its prompt"
        ),
        pytest.param(f"{REACT}Question: Who keeps most cats?\nThought:", "Who keeps most cats?", id="its first step"),
        pytest.param(
            f"{REACT}Previous conversation history:\nHuman: hi\n\nNew input: Who keeps most cats?\nThought:{PAD}",
            "Who keeps most cats?",
            id="with a history",
        ),
        pytest.param(
            "Who keeps most cats?\n\nThis was your previous work (but I haven't seen any of it! I only see what you return "
            f"as final answer):\nThought:{PAD}\n (reminder to respond in a JSON blob no matter what)",
            "Who keeps most cats?",
            id="structured chat",
        ),
        pytest.param(f"{REACT}Question:\nThought:", f"{REACT}Question:\nThought:", id="no question"),
        pytest.param("Begin! Question: is it late?", "Begin! Question: is it late?", id="a person's words"),
    ],
)
def test_langchains_prompts_hold_the_question_before_the_results(turn: str, text: str) -> None:
    assert routing_text(said(turn)) == text


@pytest.mark.parametrize(
    "turn",
    [
        pytest.param(f"<tool_result>\n{DUMP}</tool_result>", id="closed"),
        pytest.param(f"<tool_result>\n{DUMP}", id="cut off"),
        pytest.param(f"<system-reminder>x</system-reminder>\n<tool_result>\n{DUMP}", id="cut off, behind a note"),
        pytest.param(f"<tool_result>{DUMP}</tool_result>\n\nContinue.", id="an agent that says go on"),
        pytest.param(
            f"<returncode>0</returncode>\n<warning>\nToo long.\n</warning>\n<output_head>\n{DUMP}</output_head>\n"
            f"<elided_chars>\n9 characters elided\n</elided_chars>\n<output_tail>\n{DUMP}</output_tail>",
            id="mini-swe-agent, long",
        ),
        pytest.param(
            "<exception>timeout</exception>\n<returncode>-1</returncode>\n<output>\n</output>", id="its exceptions"
        ),
        pytest.param(
            "<task-notification>\n<status>completed</status>\n</task-notification>\n"
            "Read the output file to retrieve the result: /tmp/b.output",
            id="Claude Code's notice",
        ),
        pytest.param(f"Observation: {DUMP}", id="a result of several paragraphs"),
        pytest.param("Observation: # Usage\n\nRun the tests with pytest.", id="a page that instructs"),
        pytest.param("Observation: Error 503\n\nPlease try again later.", id="a polite error"),
        pytest.param("Observation: Hi Bob,\n\nCan you send me the report?", id="a letter"),
        pytest.param("Observation: FAQ\n\nWhat is the refund policy?", id="a page that asks"),
        pytest.param(
            "Observation: a\n\nb\n\nSummarise them for my boss", id="paragraphs, and the last might be the result's"
        ),
        pytest.param("Observation: 503\n\n詳細はドキュメントを参照してください。", id="a Japanese page"),
        pytest.param(f"[read_file for 'a.md'] Result:\n# A\n\nSummarise it.\n{NOTE}", id="Cline"),
        pytest.param("[list_files] Result:\na.py", id="Cline, no argument"),
        pytest.param("EXECUTION RESULT of [execute_bash]:\n3 rows\n\nSummarise them.", id="OpenHands"),
        pytest.param("Call id: call_1\nObservation:\nok", id="smolagents"),
        pytest.param("exitcode: 1 (execution failed)\nCode output: Traceback\n\nFix it?", id="AutoGen"),
        pytest.param(
            "Code output: 3\n\nWhat does this output mean / what's next (if anything, or are we done)?",
            id="Open Interpreter",
        ),
        pytest.param(f"I ran this command:\n\npytest\n\nAnd got this output:\n\n{DUMP}", id="Aider"),
    ],
)
def test_a_result_alone_is_no_request(turn: str) -> None:
    assert routing_text(said(turn)) == BEFORE
    assert step_of(said(turn)).depth == 1, "a step of the loop"


@pytest.mark.parametrize(
    "turn",
    [
        "What does <tool_result> mean in a prompt?",
        "Explain how <tool_result>a</tool_result> differs from <tool_response>b</tool_response>",
        "Write a parser for\n<tool_result>\nthat is never closed",
        "Write a lab report.\n\nObservation: the liquid turned blue.\n\nConclusion: it is a base.",
        "What does <output>5</output> say?\n<output>\n6\n</output>",
        "Explain the tag </tool_result>",
    ],
)
def test_a_request_that_only_speaks_of_results_stays_whole(turn: str) -> None:
    assert routing_text(said(turn)) == turn


def test_what_is_repeated_after_a_result_is_the_last_request() -> None:
    messages = said(f"<tool_result>{DUMP}</tool_result>\n{ASKED}")
    assert routing_text([*messages, *said("Observation: done")[1:], *said("continue")[1:]]) == ASKED


def test_what_an_agent_says_beside_each_result_is_no_request() -> None:
    words = "If you need more tools, answer with tool calls only. If not, answer the user."
    steps = [said(f"<tool_result>{n}</tool_result>\n{words}")[1:] for n in range(3)]
    messages = [*said("Write a letter to my landlord")[:1], *steps[0], *steps[1], *steps[2]]
    assert routing_text(messages) == BEFORE
    assert step_of(messages).depth == 3


pieces = st.sampled_from(
    [f"<{name}>" for name in sorted(RESULT_TAGS)]
    + [f"</{name}>" for name in sorted(RESULT_TAGS)]
    + [
        "<output>",
        "</output>",
        "<system-reminder>",
        "</system-reminder>",
        "<user_query>",
        "</user_query>",
        "</feedback>",
    ]
    + ["<feedback>", "Observation:", "[a for b] Result:", "EXECUTION RESULT", "\nBegin!", "\nQuestion:", "\nThought:"]
    + ["\n", "\n\n", " ", "Summarise them", "これを要約して", "why?", "x", "\r\n", "Code output:", "\0", "\ud800"]
)
turns = st.lists(pieces | st.text(max_size=5), max_size=12).map("".join)


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant", "tool", "system"]), turns), min_size=1, max_size=4))
def test_there_is_always_a_text_where_any_is(spoken: list[tuple[str, str]]) -> None:
    messages = [{"role": role, "content": text} for role, text in spoken]
    text = routing_text(messages)
    assert text.strip() or not any(text_of(message["content"]).strip() for message in messages)
    assert step_of(messages).depth >= 0


@pytest.mark.parametrize(
    "unit",
    [
        "<tool_result>",
        "\n<tool_result>",
        "</tool_result>",
        "\n</tool_result>\n",
        "<tool_result>a</tool_result>\n",
        "<tool_result></tool_result>",
        "<output>\n",
        "\n<output></output>",
        "<system-reminder>",
        "<system-reminder></system-reminder>",
        "<system-reminder></system-reminder><tool_result>a</tool_result>\n",
        "</user_query><user_query>",
        "</feedback>",
        "\n \n",
        " ",
        "\n",
        "\nBegin!\nQuestion:",
        "Thought:\n",
        "a b. ",
        "て",
        "<",
    ],
)
@pytest.mark.parametrize(
    "start", ["", "<tool_result>", "Observation: ", "<returncode>0</returncode>", "[a for b", "\nBegin!\n"]
)
def test_the_time_grows_with_the_length_alone(unit: str, start: str) -> None:
    """With the square of it, two million characters would take hours."""
    text = f"{start}{unit * (2_000_000 // len(unit))} Observation:"
    assert isinstance(asked(text), tuple)
