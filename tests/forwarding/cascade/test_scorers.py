"""A cascade's scorers tell a bad answer from a good one, and it escalates no further than it must."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_backend.forwarding.cascade.scorers import heuristic, judge_request, judged, logprob

LONG = "Explain in detail how a B-tree splits its nodes, with a worked example for each case. " * 5


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't help with that.",
        "I’m unable to answer this question.",
        "Sorry, I do not have that information.",
        "As an AI language model, I cannot browse the web.",
        "I cannot assist with this request.",
        "申し訳ありませんが、お答えできません。",
        "",
        "   \n",
        "ok " * 200,
        "the answer is the answer is " * 40,
    ],
)
def test_refusals_and_broken_answers_score_low(answer: str) -> None:
    assert heuristic(answer) < 0.5


@pytest.mark.parametrize(
    "answer",
    [
        "Paris.",
        "The capital of France is Paris. I'm sorry to hear that you missed your train.",
        "To say you are sorry in French: « Je suis désolé ».",
        "東京は日本の首都です。",
        "def fizzbuzz(n):\n    return 'Fizz' * (n % 3 == 0) + 'Buzz' * (n % 5 == 0) or str(n)",
        "| a | b |\n|---|---|\n" + "\n".join(f"| {i} | {i * i} |" for i in range(60)),
    ],
)
def test_plain_answers_score_full(answer: str) -> None:
    assert heuristic(answer) == 1.0


def test_truncated_filtered_and_suspiciously_short_answers_score_less() -> None:
    assert heuristic("A B-tree splits when", "length") < 0.5
    assert heuristic("A B-tree", "content_filter") == 0.0
    assert 0.5 < heuristic("It depends.", prompt=LONG) < 1.0
    assert heuristic("It depends.", prompt="Tabs or spaces?") == 1.0


@given(st.text(max_size=600), st.sampled_from(["stop", "length", "tool_calls", "content_filter", ""]), st.text())
def test_any_text_gets_a_score(answer: str, finish_reason: str, prompt: str) -> None:
    assert 0 <= heuristic(answer, finish_reason, prompt) <= 1


def test_logprob_is_the_mean_probability_of_a_token() -> None:
    assert logprob([math.log(0.5), math.log(0.5)]) == pytest.approx(0.5)
    assert logprob([math.log(0.9), math.log(0.1)]) == pytest.approx(0.3)
    assert logprob([]) == 0.0
    assert logprob([-math.inf, math.log(0.5), math.nan]) == pytest.approx(0.5)
    assert logprob([0.1]) == 1.0  # rounding above 0


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("8", 0.8),
        ("Rating: 7.5", 0.75),
        (" 10 ", 1.0),
        ("9/10", 0.9),
        ("4 / 5", 0.8),
        ("I'd say 0.", 0.0),
        ("good", None),
        ("", None),
        ("11", None),
        ("3/0", None),
    ],
)
def test_a_judges_reply_is_read(reply: str, score: float | None) -> None:
    assert judged(reply) == (None if score is None else pytest.approx(score))


def test_texts_with_braces_reach_the_judge_unchanged() -> None:
    content = judge_request("{answer} f'{x}'", "{prompt} }{")[0]["content"]
    assert "{answer} f'{x}'" in content
    assert "{prompt} }{" in content
