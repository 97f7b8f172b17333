"""Does it pay: routing beside one model alone, from what was answered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from router_backend.config.models import Price
from router_backend.core.records import KeptFeedback, Recorded, Usage
from router_backend.state.payoff import Payoff
from tests.state.examples import make_decision, make_feedback, make_outcome

PRICES = {"small": Price(input=1.0, output=1.0), "large": Price(input=10.0, output=10.0)}


def answered(count: int, seed: int = 0) -> list[Recorded]:
    """Easy prompts, on which both are right, go to the small model mostly; hard ones, on which it is always wrong, to the large one."""
    rng, found = np.random.default_rng(seed), []
    for at in range(count):
        hard = bool(at % 2)
        large = bool(rng.random() < (0.9 if hard else 0.1))
        model, propensity = ("large" if large else "small"), (0.9 if large == hard else 0.1)
        decision = make_decision(at, model=model, candidates=("small", "large"), propensity=propensity)
        usage = Usage(prompt=500_000, completion=500_000)
        outcome = make_outcome(decision, usage=usage, cost=PRICES[model].input)
        score = 0.0 if hard and not large else 1.0
        feedback = make_feedback(decision, score)
        found.append(Recorded(decision, outcome, KeptFeedback(feedback, model, score, outcome.cost or 0.0)))
    return found


def test_the_best_single_model_is_judged_on_all_prompts_not_on_those_it_was_given() -> None:
    payoff = Payoff()
    payoff.add(answered(4000), PRICES)
    found = payoff.verdict()
    assert found is not None
    assert found.model == "large"
    # Alone it is always right; the small one is half of the time. Routing errs on a tenth of the hard half.
    assert found.model_quality.value == pytest.approx(1.0)
    small = payoff.alone["small"].figure()
    assert small is not None
    assert abs(small.value - 0.5) <= 2 * small.half
    assert abs(found.quality.value - 0.95) <= 2 * found.quality.half <= 0.02
    assert found.cost_share is not None
    assert abs(found.cost_share.value - 0.55) <= 2 * found.cost_share.half <= 0.04
    assert payoff.sentence().startswith("Routing answers with a quality of 95.")
    assert "of the cost of large, the best single model, which has 100.0%" in payoff.sentence()


def test_its_interval_holds_as_often_as_it_says() -> None:
    held = 0
    for seed in range(200):
        payoff = Payoff()
        payoff.add(answered(400, seed), PRICES)
        small = payoff.alone["small"].figure()
        assert small is not None
        held += abs(small.value - 0.5) <= small.half
    assert held >= 170


def test_parts_add_up_and_named_models_and_fallbacks_teach_nothing_of_a_model() -> None:
    records = answered(500)
    records += [Recorded(replace(d, kind="named"), o, k) for d, o, k in records[:50]]
    records += [Recorded(d, replace(o, served="other"), k) for d, o, k in records[:50] if o]
    whole, left, right = Payoff(), Payoff(), Payoff()
    whole.add(records, PRICES)
    left.add(records[:200], PRICES)
    right.add(records[200:], PRICES)
    left.join(right)
    assert left.alone["small"].d == pytest.approx(whole.alone["small"].d)
    assert left.sentence() == whole.sentence()
    assert (whole.routed.pairs, sum(each.pairs for each in whole.alone.values())) == (550, 500)


def test_with_few_scores_it_says_what_is_missing() -> None:
    payoff = Payoff()
    assert "there are none" in payoff.sentence()
    payoff.add(answered(10), PRICES)
    assert payoff.verdict() is None
    assert "Send feedback" in payoff.sentence()
