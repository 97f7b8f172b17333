"""One answer has one outcome, whichever host records it."""

from __future__ import annotations

import time

import pytest

from router_backend.core.records import Usage
from router_backend.forwarding.progress import Expense, Progress
from router_backend.learning.outcome import outcome_of
from tests.support.arms import model, router_config

CONFIG = router_config([model("a", "http://127.0.0.1:9/v1"), model("b", "http://127.0.0.1:9/v1")])
TOKENS = Usage(prompt=7, completion=3)
COST = 13e-6  # USD, of TOKENS at 1 and 2 USD per million


def progress(arm: str = "a", usage: Usage = TOKENS, **fields: object) -> Progress:
    value = Progress(arm=arm, started=time.monotonic() - 2, usage=usage)
    for name, field in fields.items():
        setattr(value, name, field)
    return value


def test_an_outcome_says_who_answered_how_fast_and_at_what_cost() -> None:
    answer = progress(usage_known=True, finish_reason="stop", first_token=0.5, latency=1.5)
    outcome = outcome_of("id", answer, 200, CONFIG, started=answer.started, key="app")
    assert (outcome.decision_id, outcome.served, outcome.status, outcome.key) == ("id", "a", 200, "app")
    assert outcome.cost == pytest.approx(COST)
    assert (outcome.first_token, outcome.upstream, outcome.streamed) == (0.5, 1.5, True)
    assert outcome.latency >= 2


def test_the_revision_of_the_file_stands_before_the_upstreams() -> None:
    named = router_config([model("a", "http://127.0.0.1:9/v1", revision="r2"), model("b", "http://127.0.0.1:9/v1")])
    answers = [progress(arm, revision="theirs@fp") for arm in ("a", "b", "gone")]
    revisions = [outcome_of("id", answer, 200, named, started=0).revision for answer in answers]
    assert revisions == ["r2", "theirs@fp", "theirs@fp"]


def test_what_a_cascade_discarded_is_paid_for() -> None:
    answer = progress(usage_known=True, discarded=(Expense("b", TOKENS), Expense("b", TOKENS)))
    assert outcome_of("id", answer, 200, CONFIG, started=0).cost == pytest.approx(3 * COST)


def test_what_a_cascade_discarded_is_paid_for_though_no_answer_follows() -> None:
    answer = progress(usage=Usage(), discarded=(Expense("b", TOKENS),))
    assert outcome_of("id", answer, 499, CONFIG, started=0).cost == pytest.approx(COST)


@pytest.mark.parametrize("arm", ["gone", "a"])
def test_an_arm_that_is_not_configured_any_more_has_no_price(arm: str) -> None:
    answer = progress(arm, usage_known=True, discarded=(Expense("gone", TOKENS),))
    assert outcome_of("id", answer, 200, CONFIG, started=0).cost is None


def test_an_answer_of_which_no_usage_is_known_has_no_cost() -> None:
    assert outcome_of("id", progress(usage=Usage()), 502, CONFIG, started=0).cost is None
