"""Agents' sessions go on: what a model reads now is in its cache later, and whoever answers must have read it all."""

from __future__ import annotations

from itertools import combinations_with_replacement, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_backend.bandits.context import CONTEXT_DIM, EARLIER_DIM, TOOLS, steps_ahead
from router_backend.bandits.plan import _GROWTH, rest_of_session
from router_backend.bandits.policy import Policy
from router_backend.bandits.query import Query
from router_backend.bandits.selection import probabilities, select, settled
from tests.bandits.examples import NOW, make_context, make_policy, make_query, teach

STEPS, PROMPT = 30.0, 20_000
SAVED = np.array([2.25, 0.675, 0.18]) / 1e6  # USD that a cached token costs less


def at(tool: str) -> np.ndarray:
    context = np.zeros(CONTEXT_DIM, np.float32)
    context[EARLIER_DIM] = 0.5
    context[EARLIER_DIM + 1 + TOOLS.index(tool)] = 1.0
    return context


def asked(tool: str, warm: tuple[float, ...] = (0.0, 0.0, 0.0), steps: float = STEPS, **fields: object) -> Query:
    """At GPT-5.4's prices for its three sizes; `warm`: share of the prompt in each cache."""
    saving = PROMPT * SAVED * np.array(warm)
    prompt = PROMPT * np.array([2.5, 0.75, 0.2]) / 1e6 - saving
    answer = 400 * np.array([15.0, 4.5, 1.25]) / 1e6
    return make_query(
        at(tool), costs=prompt + answer, prompt_cost=prompt, cache_saving=saving, cacheable=PROMPT * SAVED,
        prompt_tokens=PROMPT, steps=steps, **fields,
    )  # fmt: skip


def taught(better: dict[str, tuple[float, float, float]], **fields: Any) -> Policy:
    """Knows how good each arm is at steps of each kind."""
    reward = {"name": "difference", "lambda": 1.0, "cost_scale_usd": 0.1}
    policy = make_policy(
        alpha=0.0, epsilon=0.0, new_share=0.0, ridge=0.01, change={"false_alarm": 0}, reward=reward, **fields
    )
    for tool, qualities in better.items():
        for arm, quality in enumerate(qualities):
            for _ in range(60):
                policy.update(at(tool), arm, quality, 0.0, NOW)
    return policy


def chosen(policy: Policy, query: Query) -> int:
    return select(policy, query, np.random.default_rng(0)).arm


def test_a_little_gain_at_some_steps_is_not_worth_a_second_reader() -> None:
    """With its prompt in both caches each step alone would go to the model that is better at it."""
    policy = taught({"read": (0.5, 0.9, 0.5), "run": (0.5, 0.9, 0.5), "write": (1.05, 0.9, 0.5)})
    assert chosen(policy, asked("write", (1.0, 1.0, 0.0), steps=0.0)) == 0
    assert chosen(policy, asked("write", (0.0, 1.0, 0.0))) == 1


def test_a_large_gain_at_some_steps_is() -> None:
    """Though this step alone wouldn't pay for what has to be read first."""
    policy = taught({"read": (0.5, 0.9, 0.5), "run": (0.5, 0.9, 0.5), "write": (1.3, 0.9, 0.5)})
    assert chosen(policy, asked("write", (0.0, 1.0, 0.0), steps=0.0)) == 1
    assert chosen(policy, asked("write", (0.0, 1.0, 0.0))) == 0
    assert chosen(policy, asked("read", (0.9, 1.0, 0.0))) == 1


def test_a_session_begins_with_a_model_that_suits_the_whole_of_it() -> None:
    """The dear model's answer is worth its price, but what follows would have to be read by another once more."""
    later = dict.fromkeys(("read", "run", "write"), (0.9, 0.88, 0.6))
    policy = taught({**later, "other": (1.3, 0.88, 0.6)})
    assert chosen(policy, asked("other", steps=0.0)) == 0
    assert chosen(policy, asked("other")) == 1


def test_what_was_read_decides_between_models_that_are_about_alike() -> None:
    policy = taught(dict.fromkeys(("read", "run", "write"), (0.94, 0.85, 0.5)))
    assert chosen(policy, asked("read")) == 0
    assert chosen(policy, asked("read", (0.0, 1.0, 0.0))) == 1


@pytest.mark.parametrize("change", [{"steps": 0.0}, {"cacheable": None}, {"prompt_tokens": 0}])
def test_nothing_is_planned_without_what_a_plan_is_of(change: dict[str, object]) -> None:
    query = asked("read")._replace(**change)  # type: ignore[arg-type]
    assert rest_of_session(taught({}), query, [0.1, 0.2, 0.3]) is None


def test_rewards_without_a_price_of_cost_plan_nothing() -> None:
    assert rest_of_session(make_policy(reward={"name": "ratio"}), asked("read"), [0.1, 0.2, 0.3]) is None


@pytest.mark.parametrize("steps", [0.0, STEPS])
@pytest.mark.parametrize(("scores", "leaves"), [(10, False), (400, True)])
def test_a_guard_asks_for_as_much_evidence_where_a_session_is_planned(steps: float, scores: int, leaves: bool) -> None:
    """What is gained at thirty steps is no surer than what is gained at one of them."""
    guard = {"reference": "m0", "confidence": 2.0}
    policy = make_policy(
        epsilon=0.0, new_share=0.0, change={"false_alarm": 0}, reward={"name": "difference", "lambda": 1.0}, guard=guard
    )
    for _ in range(scores):
        for tool, (arm, quality) in product(("read", "run", "write"), enumerate((0.5, 0.6))):
            policy.update(at(tool), arm, quality, 0.0, NOW)
    alike = np.full(3, PROMPT * 1e-8)
    query = make_query(
        at("read"), costs=alike * 2, prompt_cost=alike, cacheable=alike, prompt_tokens=PROMPT, steps=steps,
        candidates=(0, 1),
    )  # fmt: skip
    choice = select(policy, query, np.random.default_rng(0))
    assert (choice.arm, choice.reason) == ((1, "policy:linucb") if leaves else (0, "guard"))


@pytest.mark.parametrize("guard", [None, {"reference": "m0", "confidence": 0.0}], ids=["alone", "guarded"])
def test_a_step_of_a_loop_is_planned_once(monkeypatch: pytest.MonkeyPatch, guard: dict[str, object] | None) -> None:
    """For its candidates; where some are left out by then, the others are planned again."""
    policy = taught(dict.fromkeys(("read", "run", "write"), (0.9, 0.9, 0.5)), **({"guard": guard} if guard else {}))
    planned, ahead = [], policy.qualities_ahead
    monkeypatch.setattr(policy, "qualities_ahead", lambda query: planned.append(query.candidates) or ahead(query))
    query, _ = settled(policy, asked("read", (0.0, 1.0, 0.0), previous=0, candidates=(0, 1)))
    assert query.candidates == (0, 1)
    before = select(policy, query, np.random.default_rng(0))
    assert planned == [(0, 1)]
    # What is learned in between counts.
    for _ in range(200):
        policy.update(at("read"), 1, 1.0, 0.0, NOW)
    assert select(policy, query, np.random.default_rng(0)).scores != before.scores
    assert planned == [(0, 1)] * 2
    select(policy, query.among((0, 1, 2)), np.random.default_rng(0))
    assert planned == [(0, 1)] * 2 + [(0, 1, 2)]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 999),
    warm=st.tuples(*[st.floats(0, 1)] * 3),
    candidates=st.sampled_from([(0, 1), (1, 2), (0, 1, 2)]),
)
def test_it_is_the_best_of_all_plans_of_one_or_two_models(
    seed: int, warm: tuple[float, ...], candidates: tuple[int, ...]
) -> None:
    policy, draw = (
        make_policy(reward={"name": "difference", "lambda": 1.0, "cost_scale_usd": 0.1}),
        np.random.default_rng(seed),
    )
    teach(policy, draw, 60)
    query = asked("run", warm, candidates=candidates)._replace(context=make_context(draw))
    costs = policy.scores(query).costs
    worth = {}
    for arm in candidates:
        found = []
        for plan in combinations_with_replacement(candidates, 2):
            value = 0.0
            for context in steps_ahead(query.context, STEPS):
                qualities = policy.qualities(query._replace(context=context))
                each = []
                for member in plan:
                    place = candidates.index(member)
                    cold = (1 - warm[member]) * PROMPT * SAVED[member]
                    longer = (query.prompt_cost[member] - cold) * _GROWTH * STEPS / 2 / PROMPT  # type: ignore[index]
                    each.append(qualities[place] - 10 * (costs[place] - cold + longer))
                value += STEPS / 3 * max(each)
            for member in set(plan):
                value -= 10 * STEPS * _GROWTH * SAVED[member]
                value -= 10 * (member != arm) * (1 - warm[member]) * PROMPT * SAVED[member]
            found.append(value)
        worth[arm] = max(found)
    expected = [worth[arm] - max(worth.values()) for arm in candidates]
    assert rest_of_session(policy, query, costs) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", ["linucb", "lints", "ucb1", "binary"])
def test_propensities_of_planned_choices_are_true(name: str) -> None:
    policy, draw = make_policy(name, epsilon=0.1), np.random.default_rng(0)
    teach(policy, draw, 60)
    query = asked("run", (1.0, 0.0, 0.0), previous=0)
    chances = probabilities(policy, query, draw)
    choices = [select(policy, query, draw).arm for _ in range(2000)]
    np.testing.assert_allclose(np.bincount(choices, minlength=3) / 2000, chances, atol=0.04)
