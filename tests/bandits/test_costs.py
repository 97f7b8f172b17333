"""The cost of an answer before it is given, and what one taught of it."""

from __future__ import annotations

import numpy as np
import pytest

from router_backend.bandits.charges import ANSWER, PROMPT, REASONING, USD
from router_backend.bandits.costs import PRIOR_TOKENS, CostModel, OutputLengths
from router_backend.contract import TASKS
from router_backend.core.records import Usage
from tests.bandits.examples import make_models


def beyond_prompt(costs: CostModel, arm: int, usage: Usage | None, cost: float, prompt_tokens: float) -> float:
    completion, reasoning = (np.nan, np.nan) if usage is None else (usage.completion, usage.reasoning)
    columns = (np.array([number], np.float64) for number in (completion, reasoning, cost, prompt_tokens))
    return float(costs.beyond_prompts(np.array([arm]), *columns)[0])


def test_estimates_start_with_the_prior_and_follow_arm_and_task() -> None:
    models = make_models(1, 10)
    lengths = OutputLengths([model.name for model in models])
    costs = CostModel(models, lengths)
    np.testing.assert_allclose(costs.expected(100, "math").total, (100 + PRIOR_TOKENS) * np.array([1, 10]) / 1e6)
    for _ in range(300):
        lengths.observe("m0", "math", 1000)
        lengths.observe("m0", "chatbot", 50)
    assert costs.expected(0, "math").total[0] == pytest.approx(1000e-6, rel=0.05)
    assert costs.expected(0, "chatbot").total[0] == pytest.approx(50e-6, rel=0.2)
    # A task not seen yet has the arm's mean; an arm not seen yet the prior.
    assert costs.expected(0, "rewrite").total[0] == pytest.approx(525e-6, rel=0.05)
    assert costs.expected(0, "math").total[1] == pytest.approx(PRIOR_TOKENS * 1e-5)


def test_the_requests_limit_caps_the_estimate() -> None:
    models = make_models(1, 10)
    costs = CostModel(models, OutputLengths([model.name for model in models]))
    np.testing.assert_allclose(costs.expected(100, "math", max_tokens=16).total, 116 * np.array([1, 10]) / 1e6)


def test_an_arms_cap_for_the_task_caps_the_estimate() -> None:
    models = make_models(1, 1, max_tokens_by_task=[{"math": 10}, {}])
    costs = CostModel(models, OutputLengths([model.name for model in models]))
    np.testing.assert_allclose(costs.expected(0, "math").total, np.array([10, PRIOR_TOKENS]) / 1e6)
    np.testing.assert_allclose(costs.expected(0, "chatbot").total, np.array([PRIOR_TOKENS, PRIOR_TOKENS]) / 1e6)


def test_estimates_follow_a_model_that_changes() -> None:
    lengths = OutputLengths(["a"])
    for _ in range(10_000):
        lengths.observe("a", "math", 1000)
    for _ in range(6000):
        lengths.observe("a", "math", 100)
    assert lengths.means[0, TASKS.index("math")] < 160


def test_what_cannot_be_counted_changes_nothing() -> None:
    lengths = OutputLengths(["a"])
    before = lengths.means.copy()
    lengths.observe("removed", "math", 10)
    lengths.observe("a", "math", None)
    lengths.observe("a", "math", -1)
    np.testing.assert_array_equal(lengths.means, before)
    lengths.observe("a", "a task of a later version", 10)
    assert lengths.means[0, TASKS.index("other")] < PRIOR_TOKENS


def test_a_reload_keeps_the_lengths_of_the_arms_that_stay() -> None:
    before, after = OutputLengths(["a", "b"]), OutputLengths(["new", "b"])
    for _ in range(50):
        before.observe("b", "math", 900)
    after.adopt(before)
    np.testing.assert_array_equal(after.means[1], before.means[1])
    assert after.means[0, 0] == PRIOR_TOKENS
    after.observe("b", "math", 900)
    before.observe("b", "math", 900)
    np.testing.assert_array_equal(after.means[1], before.means[1])


def test_what_is_learned_of_an_answer_is_its_cost_at_todays_prices_beyond_its_prompt() -> None:
    costs = CostModel(make_models(1, 10), OutputLengths(["m0", "m1"]))
    usage = Usage(prompt=1000, completion=50)
    assert beyond_prompt(costs, 1, usage, 123.0, 0) == pytest.approx(50 * 10e-6)
    # Without usage, what it cost is what it cost.
    assert beyond_prompt(costs, 1, None, 0.02, 1000) == pytest.approx(0.02 - 1000 * 10e-6)


def test_what_is_learned_of_an_answers_tokens_has_no_price() -> None:
    usage = [np.array([number], np.float64) for number in (50, 20, 123.0, 0)]
    cheap, dear = (CostModel(make_models(price), OutputLengths(["m0"])) for price in (1, 10))
    (charges,) = cheap.charges(np.array([0]), *usage)
    np.testing.assert_array_equal(charges, dear.charges(np.array([0]), *usage)[0])
    assert (charges[ANSWER], charges[REASONING], charges[USD], charges[PROMPT]) == (30, 20, 0, 0)
    assert dear.beyond_prompts(np.array([0]), *usage) == pytest.approx(50 * 10e-6)


@pytest.mark.parametrize("usage", [None, Usage(prompt=10, completion=100_000_000)])
def test_one_absurd_cost_teaches_no_more_than_the_longest_answer(usage: Usage | None) -> None:
    models = make_models(1, 10)
    costs = CostModel(models, OutputLengths([model.name for model in models]))
    learned = beyond_prompt(costs, 1, usage, 1e6, 10)
    assert learned == pytest.approx(2 * models[1].context_window * 10e-6)
    assert beyond_prompt(costs, 1, Usage(prompt=10, completion=100), 0.0, 0) == pytest.approx(100 * 10e-6)


def test_warm_tokens_are_expected_at_the_price_of_cached_ones() -> None:
    models = make_models(1, 10, price=[{"input": 1, "output": 1, "cached_input": 0.1}, {"input": 10, "output": 10}])
    costs = CostModel(models, OutputLengths(["m0", "m1"]))
    cold, warm = costs.expected(1000, "math"), costs.expected(1000, "math", warm=np.array([800.0, 5000.0]))
    assert cold.saving is None
    assert warm.saving is not None
    np.testing.assert_allclose(warm.saving, [800 * 0.9e-6, 0.0], atol=1e-15)
    np.testing.assert_allclose(cold.total - warm.total, warm.saving, atol=1e-15)
    np.testing.assert_allclose(cold.prompt - warm.prompt, warm.saving, atol=1e-15)
    assert beyond_prompt(costs, 0, Usage(prompt=1000, cached=900, completion=50), 0.0, 0) == pytest.approx(50e-6)


def test_tokens_that_a_cache_takes_are_expected_at_their_own_price() -> None:
    price = {"input": 1, "output": 1, "cached_input": 0.1, "cache_write": 1.25}
    costs = CostModel(make_models(1, 10, price=[price, {"input": 10, "output": 10}]), OutputLengths(["m0", "m1"]))
    plain, taken = costs.expected(1000, "math"), costs.expected(1000, "math", writes=np.array([1.0, 1.0]))
    np.testing.assert_allclose(taken.prompt - plain.prompt, [250e-6, 0.0], atol=1e-15)
    half = costs.expected(1000, "math", warm=np.array([800.0, 0.0]), writes=np.array([0.5, 0.0]))
    assert half.prompt[0] == pytest.approx((800 * 0.1 + 200 * 1.125) / 1e6)
    assert half.cacheable is not None
    assert half.cacheable[0] == pytest.approx(1000 * 1.025 / 1e6)
