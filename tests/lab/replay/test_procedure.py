"""The replay protocol: what a policy is given, what it is not, and under what circumstances."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from router_backend.lab.replay.bootstrap import best_ridge, fit_prior, suited_to, without
from router_backend.lab.replay.measures import convex_hull, points_above_hull
from router_backend.lab.replay.policies import REPLAYED, Recipe, Tuning, make
from router_backend.lab.replay.procedure import Run, episode, play, queries
from router_backend.lab.replay.runner import Grid, Replay, Setting, parse_grid, run_grid, settings
from router_backend.lab.replay.scenarios import SCENARIOS, Scenario, unfold
from router_backend.lab.replay.summary import summarise
from tests.lab.replay.worlds import make_world

DATA, CONTEXTS = make_world()
REPLAY = Replay(DATA, CONTEXTS, Tuning(), fit_prior(DATA, CONTEXTS))


class Witness:
    """Notes what a real policy is taught."""

    def __init__(self, policy: Any) -> None:
        self.policy = policy
        self.single: list[tuple[int, float, float]] = []
        self.many: list[tuple[int, int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.policy, name)

    def update(self, context: Any, arm: int, quality: float, cost: float, at: float) -> None:
        self.single.append((arm, quality, cost))
        self.policy.update(context, arm, quality, cost, at)

    def update_many(self, batch: Any) -> None:
        self.many.append((int(batch.arms[0]), len(batch)))
        self.policy.update_many(batch)


def witnessed(scenario: Scenario) -> tuple[Witness, Run]:
    known, seen = REPLAY.evaluated, REPLAY.seen
    course = episode(len(known), 0.2, seed=0)
    policy = Witness(make(Recipe("linucb", 0.2, 32), Tuning(), known, seen, REPLAY.scale))
    return policy, play(policy, queries(seen, 3), known, course, scenario, seed=0)


def test_bootstrap_rows_are_given_in_full_and_online_ones_only_for_the_chosen_arm() -> None:
    policy, run = witnessed(Scenario())
    assert policy.many == [(0, 60), (1, 60), (2, 60)]
    rows = run.rows
    taught = [
        (int(a), REPLAY.evaluated.quality[r, a], REPLAY.evaluated.cost[r, a])
        for r, a in zip(rows, run.arms, strict=True)
    ]
    assert policy.single == taught


def test_train_rows_are_never_evaluated_and_every_policy_meets_the_same_order() -> None:
    assert not REPLAY.evaluated.train.any()
    assert len(REPLAY.evaluated) == 300
    grid = Grid(("linucb", "random"), (0.2,), (32,), seeds=2, scenarios=())
    runs = run_grid(REPLAY, grid, workers=1)
    for seed in range(2):
        first, second = (runs[Setting(name, 0.2, 32, seed)].rows for name in grid.policies)
        assert first.tolist() == second.tolist()
        assert len(first) == 240


def test_delayed_and_sparse_feedback_arrives_late_and_rarely() -> None:
    policy, run = witnessed(Scenario("late", delay=30, feedback=0.5))
    assert 0.35 < len(policy.single) / len(run.arms) < 0.65
    assert len(policy.single) <= len(run.arms) - 30


def test_poisoned_feedback_lies_about_scores_but_is_judged_by_the_truth() -> None:
    policy, run = witnessed(Scenario("poisoned", poisoned=1.0))
    assert [quality for _, quality, _ in policy.single] == (1 - run.quality).tolist()


def test_a_judge_that_is_right_on_every_answer_brings_all_of_the_gain_and_a_coin_none_of_it() -> None:
    found = {}
    for accuracy, share in ((1.0, 1.0), (0.8, 0.3), (0.5, 0.3)):
        grid = parse_grid(["linucb"], ["0.2"], ["32"], 2, 0.0, ["none"], (accuracy, share))
        replay = Replay(DATA, CONTEXTS, Tuning())  # without a prior
        (found[accuracy],) = summarise(replay, grid, run_grid(replay, grid, workers=1))["judge"].values()
    assert found[1.0]["share_of_gain"] == 1.0
    assert found[1.0]["after"] == 200
    assert found[1.0]["share_of_gain"] > found[0.8]["share_of_gain"] > found[0.5]["share_of_gain"]
    with pytest.raises(ValueError, match="--judge-share"):
        parse_grid(["linucb"], ["0.2"], ["32"], 1, 0.0, ["none"], (0.8, 0.0))


def test_a_budget_is_held_while_prompts_double_in_length() -> None:
    single = DATA.cost[~DATA.train].mean(0)
    usd = 1000 * float(single.min() + 0.5 * (single.max() - single.min()))
    grid = parse_grid(["linucb"], ["0.2"], ["32"], 2, 0.2, ["none"], budget=usd)
    (found,) = summarise(REPLAY, grid, run_grid(REPLAY, grid, workers=1))["budget"].values()
    assert (found["usd_per_1000"], found["requests"]) == (usd, 240)
    assert abs(found["off"]) < 0.2  # of 240 requests; half of them would cost twice as much
    assert found["worst_window"] == pytest.approx(abs(found["off"]), abs=1e-9)  # shorter than a window
    assert found["quality_second_half"] < found["quality_first_half"]
    with pytest.raises(ValueError, match="--budget"):
        parse_grid(["linucb"], ["0.2"], ["32"], 1, 0.0, ["none"], budget=0.0)


def test_a_budget_by_the_day_is_held_while_prompts_and_then_requests_double() -> None:
    single = DATA.cost[~DATA.train].mean(0)
    usd = 1000 * float(single.min() + 0.5 * (single.max() - single.min()))  # a day of the replay has 1,000 requests
    grid = parse_grid(["linucb"], ["0.2"], ["32"], 2, 0.2, ["none"], by_day=usd)
    first, again = (
        summarise(REPLAY, grid, run_grid(REPLAY, grid, workers=1))["budget_by_day"]["linucb"] for _ in range(2)
    )
    assert first == again  # its time is the replay's own
    assert (first["usd_per_day"], first["requests"]) == (usd, 240)
    assert first["days"] == pytest.approx(0.21, rel=0.2)  # 180 requests at 1,000 a day, and 60 at 2,000
    assert abs(first["off"]) < 0.25
    with pytest.raises(ValueError, match="--budget-per-day"):
        parse_grid(["linucb"], ["0.2"], ["32"], 1, 0.0, ["none"], by_day=0.0)


def test_two_models_can_be_replayed_from_nothing() -> None:
    data = replace(DATA, models=("small", "large"), quality=DATA.quality[:, [0, 2]], cost=DATA.cost[:, [0, 2]])
    data = data.rows(~data.train)
    replay = Replay(data, CONTEXTS.rows(~DATA.train), Tuning())
    grid = Grid(("linucb",), (0.2,), (32,), seeds=1, bootstrap=0.0, scenarios=())
    assert summarise(replay, grid, run_grid(replay, grid, workers=1))["apgr"] == {}


def test_drift_swaps_the_two_best_models_half_way() -> None:
    quality = REPLAY.evaluated.quality
    world = unfold(SCENARIOS["drift"], quality, np.random.default_rng(0))
    best, second = np.argsort(-quality.mean(0))[:2]
    assert (world.quality[:150] == quality[:150]).all()
    assert (world.quality[150:, best] == quality[150:, second]).all()


def test_a_new_model_is_unknown_and_unavailable_until_it_joins_then_found() -> None:
    grid = Grid(("linucb",), (0.1,), (32,), seeds=1, scenarios=("new_model",))
    run = run_grid(REPLAY, grid, workers=1)[Setting("linucb", 0.1, 32, 0, "new_model")]
    assert not (run.arms[:120] == 2).any()
    assert (run.arms[180:] == 2).mean() > 0.2


def test_linucb_learns_what_is_above_the_hull_and_a_prior_helps_from_the_start() -> None:
    grid = Grid(("linucb", "linucb-noprior"), (0.2,), (32,), seeds=3, bootstrap=0.05, scenarios=())
    runs = run_grid(REPLAY, grid, workers=1)
    above = {}
    for name in grid.policies:
        found = []
        for seed in range(3):
            run = runs[Setting(name, 0.2, 32, seed)]
            hull = convex_hull(REPLAY.evaluated.cost[run.rows].mean(0), REPLAY.evaluated.quality[run.rows].mean(0))
            found.append(points_above_hull(run.quality.mean(), run.cost.mean(), hull))
        above[name] = np.mean(found)
    assert above["linucb"] > above["linucb-noprior"] > 0
    assert above["linucb"] > 5


@pytest.mark.parametrize("name", REPLAYED)
def test_every_policy_replays(name: str) -> None:
    run = REPLAY.run(Grid((name,)), Setting(name, 0.2, 32, 0))
    assert set(run.arms) <= {0, 1, 2}


def test_processes_give_what_one_process_gives() -> None:
    grid = Grid(("linucb", "thompson"), (0.2,), (32,), seeds=1, scenarios=("poisoned",))
    alone, together = run_grid(REPLAY, grid, workers=1), run_grid(REPLAY, grid, workers=2)
    assert alone.keys() == together.keys()
    assert all((alone[key].arms == together[key].arms).all() for key in alone)


def test_the_grid_runs_policies_without_embedding_once() -> None:
    grid = parse_grid(["linucb", "ucb1"], ["0.1", "0.3"], ["32", "128"], 2, 0.2, ["none"])
    found = [(s.policy, s.components) for s in settings(grid)]
    assert found.count(("linucb", 32)) == found.count(("linucb", 128)) == 4
    assert ("ucb1", 32) not in found


@pytest.mark.parametrize(
    ("policies", "lambdas", "components", "scenarios", "message"),
    [
        ("linucb,ucb9", "0.1", "32", "all", "no policy 'ucb9'; there are linucb"),
        ("linucb", "0.1", "33", "all", "choose of 32, 64, 128"),
        ("linucb", "-1", "32", "all", "no λ is below 0"),
        ("linucb", "0.1", "32", "flood", "no scenario 'flood'; there are drift"),
    ],
)
def test_a_wrong_grid_is_refused_with_what_there_is(
    policies: str, lambdas: str, components: str, scenarios: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        parse_grid(policies.split(","), [lambdas], [components], 1, 0.2, [scenarios])


def test_a_prior_needs_training_rows_and_can_leave_an_arm_out() -> None:
    with pytest.raises(ValueError, match="no row has split == train"):
        fit_prior(REPLAY.evaluated, REPLAY.seen)
    prior = fit_prior(DATA, CONTEXTS)
    assert prior.precision[0, -1, -1] == DATA.train.sum()
    rest = without(prior, "medium")
    assert rest.arms == ("small", "large")
    assert (rest.quality[1] == prior.quality[2]).all()


def test_the_penalty_is_larger_where_arms_differ_by_chance_only() -> None:
    rng = np.random.default_rng(0)
    noise = replace(DATA, quality=(rng.random(DATA.quality.shape) < 0.5).astype(float))
    assert best_ridge(CONTEXTS.context, noise.quality) > best_ridge(CONTEXTS.context, DATA.quality)


def test_a_prior_that_is_wrong_on_other_rows_is_believed_less() -> None:
    rows = np.flatnonzero(~DATA.train)[:150]
    known, seen = DATA.rows(rows), CONTEXTS.rows(rows)
    right = fit_prior(DATA, CONTEXTS)
    reversed_ = replace(DATA, quality=DATA.quality[:, ::-1].copy())
    wrong = fit_prior(reversed_, CONTEXTS)
    assert suited_to(right, known, seen)[1] > suited_to(wrong, known, seen)[1]


def test_without_any_rows_beforehand_a_guarded_policy_begins_with_the_reference() -> None:
    grid = Grid(("linucb-noprior-guard",), components=(32,), seeds=1, bootstrap=0.0)
    run = REPLAY.run(grid, Setting("linucb-noprior-guard", 0.2, 32, 0))
    costliest = int(REPLAY.evaluated.cost.mean(0).argmax())
    assert (run.arms[:50] == costliest).mean() > 0.85
    assert run.guarded[:50].mean() > 0.2
    free = REPLAY.run(grid, Setting("linucb-noprior", 0.2, 32, 0))
    assert not free.guarded.any()
    assert len(set(free.arms[:50])) > 1
