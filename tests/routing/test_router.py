"""One classified prompt to one decision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from router_backend.bandits.context import CONTEXT_DIM, EARLIER_DIM
from router_backend.config import RouterConfig, parse_config
from router_backend.contract import EMBEDDING_DIM, TASKS
from router_backend.core.records import Decision, LearningEvent, Usage
from router_backend.learning.fold import Fold
from router_backend.prompts.hints import RoutingHints
from router_backend.routing.candidates import NoCandidate
from router_backend.routing.router import Classified, Estimate, Router, UnknownPolicy
from router_backend.routing.view import View

CONFIG = """\
version: 1
models:
  - {name: big, upstream: {kind: local}, price: {input: 1, output: 2}, context_window: 8192, capabilities: [tools]}
  - {name: middle, upstream: {kind: local}, price: {input: 0.5, output: 1}, context_window: 8192}
  - {name: small, upstream: {kind: local}, price: {input: 0.01, output: 0.02}, context_window: 1000}
default_model: small
policy: {name: linucb, epsilon: 0.0}
shadows: [{name: always-big, policy: {name: fixed, model: big}}]
experiments: [{name: half, share: 0.5, policy: {name: fixed, model: middle}}]
"""


class Setup:
    """A router over one view, and what it recorded."""

    def __init__(self, text: str = CONFIG, events: list[LearningEvent] | None = None) -> None:
        self.config: RouterConfig = parse_config(text)
        fold = Fold(self.config, space=1)
        fold.fold(events or [])
        self._view = fold.view()
        self.recorded: list[Decision] = []
        self.router = Router(self, lambda decision, _: self.recorded.append(decision), np.random.default_rng(7))

    def view(self, space: int) -> View:
        return self._view


def classified(task: str = "math", confidence: float = 0.9) -> Classified:
    probabilities = np.full(len(TASKS), (1 - confidence) / (len(TASKS) - 1), np.float32)
    probabilities[TASKS.index(task)] = confidence
    embedding = np.random.default_rng(3).normal(0, 0.1, EMBEDDING_DIM).astype(np.float32)
    return Classified(probabilities, 0.4, embedding, 1)


def outside_of_experiments(setup: Setup) -> RoutingHints:
    for number in range(100):
        hints = RoutingHints(prompt_tokens=20, session=f"s{number}")
        if setup.router.decide(classified(), hints).experiment == "":
            setup.recorded.clear()
            return hints
    raise AssertionError("every session is in the experiment")


def test_a_decision_is_recorded_as_it_was_made() -> None:
    setup = Setup()
    hints = outside_of_experiments(setup)
    decision = setup.router.decide(classified(), hints)
    (record,) = setup.recorded
    assert record.decision_id == decision.decision_id
    assert record.model == decision.model == decision.ranking[0]
    assert record.kind == "routed"
    assert record.propensity == decision.propensity == 1.0
    assert record.candidates == ("big", "middle", "small")
    assert record.policy_version == decision.policy_version != ""
    assert record.task == "math"
    assert len(record.context) > EMBEDDING_DIM
    assert record.shadows == (("always-big", "big"),)
    assert record.cost_weight is not None
    for cost, mean in zip(record.expected_cost, decision.means.values(), strict=True):
        assert 0.5 - record.cost_weight * cost == pytest.approx(
            mean
        )  # what feedback is told later, from what is recorded


@pytest.mark.parametrize("degraded", ["", "classifier"])
def test_a_dry_run_is_decided_alike_and_not_recorded(degraded: str) -> None:
    setup = Setup()
    hints = replace(outside_of_experiments(setup), degraded=degraded)
    decision = setup.router.decide(classified(), hints)
    setup.recorded.clear()
    assert setup.router.decide(classified(), replace(hints, dry_run=True)).model == decision.model
    assert setup.recorded == []


def test_a_session_stays_with_its_experiment() -> None:
    setup = Setup()
    seen = {}
    for _ in range(3):
        for number in range(40):
            session = f"s{number}"
            decision = setup.router.decide(classified(), RoutingHints(session=session, prompt_tokens=9))
            assert seen.setdefault(session, decision.experiment) == decision.experiment
            if decision.experiment:
                assert (decision.policy, decision.model) == ("half", "middle")
    assert 8 < sum(bool(experiment) for experiment in seen.values()) < 32


def test_capabilities_and_context_window_narrow_the_candidates() -> None:
    setup = Setup()
    assert setup.router.decide(classified(), RoutingHints(needs=["tools"])).model == "big"
    large = setup.router.decide(classified(), RoutingHints(prompt_tokens=5000, policy="linucb"))
    assert set(large.scores) == {"big", "middle"}


def test_a_request_that_nobody_can_take_is_told_what_it_needs() -> None:
    with pytest.raises(NoCandidate, match="vision"):
        Setup().router.decide(classified(), RoutingHints(needs=["vision"]))
    with pytest.raises(NoCandidate, match="nobody"):
        Setup().router.decide(classified(), RoutingHints(candidates=["nobody"]))


def test_a_cost_ceiling_leaves_out_what_is_dearer_and_keeps_the_cheapest() -> None:
    setup = Setup()
    within = setup.router.decide(classified(), RoutingHints(prompt_tokens=100, max_cost=0.00041, policy="linucb"))
    assert set(within.scores) == {"middle", "small"}
    assert setup.router.decide(classified(), RoutingHints(prompt_tokens=100, max_cost=1e-12)).model == "small"


def test_a_quality_floor_leaves_out_what_is_expected_to_be_worse() -> None:
    context = Setup()
    hints = outside_of_experiments(context)
    context.router.decide(classified(), hints)
    x = context.recorded[0].context
    events = [
        LearningEvent(
            sequence=i + 1,
            decision_id=str(i),
            arm=arm,
            at=1e9,
            embedding_space=1,
            context=x,
            task="math",
            quality=quality,
            cost=0.001,
        )
        for i, (arm, quality) in enumerate([("big", 1.0), ("middle", 0.5), ("small", 0.0)] * 30)
    ]
    taught = Setup(events=events)
    hints = RoutingHints(prompt_tokens=20, session=hints.session, min_quality=0.7)
    assert taught.router.decide(classified(), hints).model == "big"
    impossible = RoutingHints(prompt_tokens=20, session=hints.session, min_quality=1.0)
    assert taught.router.decide(classified(), impossible).model == "big"


def test_expected_costs_follow_what_answers_to_such_prompts_cost() -> None:
    """Of two kinds of prompt of one task, one gets answers ten times as long: the estimate by task can't tell them apart."""
    before = Setup()
    hints = outside_of_experiments(before)
    long, short = classified(), classified()
    long.embedding[:] = -short.embedding
    for prompt in (long, short):
        before.router.decide(prompt, hints)
    contexts = [record.context for record in before.recorded]
    events = [
        LearningEvent(
            sequence=i + 1,
            decision_id=str(i),
            arm="big",
            at=1e9,
            embedding_space=1,
            context=contexts[i % 2],
            task="math",
            quality=0.5,
            cost=0.0,
            output_tokens=(2000, 200)[i % 2],
            usage=Usage(prompt=20, completion=(2000, 200)[i % 2]),
        )
        for i in range(400)
    ]
    taught = Setup(events=events)
    costs = [taught.router.decide(prompt, hints).expected_cost for prompt in (long, short)]
    assert costs[0]["big"] == pytest.approx(20e-6 + 2000 * 2e-6, rel=0.15)
    assert costs[1]["big"] < 0.25 * costs[0]["big"]
    assert [record.expected_cost[0] for record in taught.recorded] == [cost["big"] for cost in costs]
    untaught = before.router.decide(long, hints).expected_cost
    assert (costs[0]["small"], costs[1]["small"]) == (untaught["small"], untaught["small"])
    capped = RoutingHints(prompt_tokens=20, session=hints.session, max_tokens=50)
    assert taught.router.decide(long, capped).expected_cost["big"] == pytest.approx(20e-6 + 50 * 2e-6)
    dear = RoutingHints(prompt_tokens=20, session=hints.session, max_cost=0.001)
    assert "big" not in taught.router.decide(long, dear).scores
    assert "big" in taught.router.decide(short, dear).scores


def test_a_policy_by_name_must_be_configured() -> None:
    setup = Setup()
    assert setup.router.decide(classified(), RoutingHints(policy="always-big")).model == "big"
    with pytest.raises(UnknownPolicy, match="half"):
        setup.router.decide(classified(), RoutingHints(policy="nonsense"))


@pytest.mark.parametrize("cause", ["tokenizer", "classifier"])
def test_trouble_before_the_router_takes_the_default_model(cause: str) -> None:
    setup = Setup()
    broken = classified()
    if cause == "classifier":
        broken.embedding[:] = np.nan
    hints = RoutingHints(degraded="tokenizer" if cause == "tokenizer" else "")
    decision = setup.router.decide(broken, hints)
    assert (decision.model, decision.reason) == ("small", f"fallback:{cause}")
    assert setup.recorded[0].kind == "fallback"
    assert setup.recorded[0].propensity is None


def test_trouble_in_the_policy_takes_the_default_model(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = Setup()

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("router_backend.routing.router.select", broken)
    decision = setup.router.decide(classified(), RoutingHints(prompt_tokens=3))
    assert (decision.model, decision.reason) == ("small", "fallback:router")


def test_a_fallback_keeps_to_the_allowed_models() -> None:
    decision = Setup().router.decide(classified(), RoutingHints(degraded="tokenizer", candidates=["big"]))
    assert decision.model == "big"


def test_an_unsure_task_takes_the_default_model_and_says_so() -> None:
    setup = Setup(CONFIG.replace("epsilon: 0.0", "epsilon: 0.0, min_confidence: 0.6"))
    hints = outside_of_experiments(setup)
    decision = setup.router.decide(classified(confidence=0.3), hints)
    assert (decision.model, decision.reason) == ("small", "low_confidence")


def test_a_change_of_model_in_a_session_is_said() -> None:
    setup = Setup()
    assert setup.router.decide(classified(), RoutingHints(policy="always-big", previous_model="small")).switched
    assert not setup.router.decide(classified(), RoutingHints(policy="always-big", previous_model="big")).switched
    assert not setup.router.decide(classified(), RoutingHints(policy="always-big")).switched


def test_a_drawn_choice_leaves_the_estimate_of_its_propensity_to_the_recorder() -> None:
    setup = Setup(CONFIG.replace("linucb, epsilon: 0.0", "lints, epsilon: 0.3"))
    estimates: list[Estimate | None] = []
    router = Router(setup, lambda _, estimate: estimates.append(estimate), np.random.default_rng(7))
    decision = router.decide(classified(), outside_of_experiments(setup))
    assert decision.propensity is None
    estimate = estimates[-1]
    assert estimate is not None
    assert 0.1 <= estimate() <= 1.0


@pytest.mark.parametrize(
    ("hints", "ranking"),
    [
        (RoutingHints(needs=["tools"]), ["big", "small", "middle"]),
        (RoutingHints(prompt_tokens=2000), ["big", "middle", "small"]),
        (RoutingHints(needs=["vision"]), ["small", "big", "middle"]),  # none can: the engine says so
    ],
)
def test_a_fallback_prefers_models_that_can_take_the_request(hints: RoutingHints, ranking: list[str]) -> None:
    decision = Setup().router.decide(classified(), replace(hints, degraded="classifier"))
    assert (decision.model, decision.ranking) == (ranking[0], ranking)


def test_what_leaving_a_warm_model_costs_is_said() -> None:
    text = CONFIG.replace("price: {input: 1, output: 2}", "price: {input: 1, output: 2, cached_input: 0.25}")
    setup = Setup(text)
    hints = replace(outside_of_experiments(setup), prompt_tokens=800, previous_model="big", warm={"big": 400.0})
    decision = setup.router.decide(classified(), hints)
    assert decision.cache_savings == pytest.approx({"big": 400 * 0.75e-6, "middle": 0.0, "small": 0.0})
    cold = setup.router.decide(classified(), replace(hints, warm={}))
    assert cold.cache_savings == {}
    assert cold.expected_cost["big"] - decision.expected_cost["big"] == pytest.approx(400 * 0.75e-6)


LOOP = CONFIG.split("shadows:")[0].replace(
    "price: {input: 1, output: 2}", "price: {input: 1, output: 2, cached_input: 0.1}"
)


def loop_hints(**fields: object) -> RoutingHints:
    return replace(RoutingHints(prompt_tokens=800, needs=[], session="s", previous_model="big", depth=3), **fields)


def test_within_a_loop_the_model_stays_while_no_other_is_surely_better() -> None:
    setup = Setup(LOOP.replace("epsilon: 0.0", "epsilon: 0.0, loop: {confidence: 2}"))
    assert setup.router.decide(classified(), loop_hints(depth=0)).model == "small"  # nothing is known: the cheapest
    decision = setup.router.decide(classified(), loop_hints())
    assert (decision.model, decision.reason, decision.propensity) == ("big", "sticky", 1.0)
    assert set(decision.ranking) == {"big", "middle", "small"}  # it may fail
    assert decision.ranking[0] == "big"
    assert setup.recorded[-1].candidates == ("big",)


def test_within_a_loop_a_model_that_is_surely_better_takes_over() -> None:
    before = Setup(LOOP)
    before.router.decide(classified(), loop_hints())
    context = before.recorded[0].context
    assert context.shape == (CONTEXT_DIM,)
    events = [
        LearningEvent(
            sequence=i,
            decision_id=str(i),
            arm=("big", "middle")[i % 2],
            at=1e9,
            embedding_space=1,
            context=context,
            task="math",
            quality=float(i % 2),
            cost=0.0,
            usage=Usage(),
        )
        for i in range(1, 400)
    ]
    setup = Setup(LOOP.replace("epsilon: 0.0", "epsilon: 0.0, loop: {confidence: 2}"), events)
    decision = setup.router.decide(classified(), loop_hints(candidates=["big", "middle"]))
    assert (decision.model, decision.switched) == ("middle", True)


def test_a_switch_that_pays_over_the_steps_to_come_is_made() -> None:
    """The other model's cold cache costs as much now as the warm one would in ten steps."""
    price = "{input: 0.5, output: 1, cached_input: 0.05}, capabilities: [tools]"
    text = LOOP.replace("{input: 0.5, output: 1}", price)
    text = text.replace("epsilon: 0.0", "epsilon: 0.0, alpha: 0, loop: {confidence: 0, steps: STEPS}")
    warm = loop_hints(candidates=["big", "middle"], warm={"big": 7000.0}, prompt_tokens=7100, max_tokens=1)
    found = []
    for steps in ("1", "30"):
        setup = Setup(text.replace("STEPS", steps))
        found.append(setup.router.decide(classified(), replace(warm, needs=["tools"])).model)
    assert found == ["big", "middle"]


def test_the_step_of_a_loop_is_part_of_the_context() -> None:
    setup = Setup(LOOP)
    setup.router.decide(classified(), loop_hints(depth=0))
    setup.router.decide(classified(), loop_hints(tool="run", failed=True))
    own, step = (recorded.context[EARLIER_DIM:] for recorded in setup.recorded)
    assert not own.any()
    assert 0 < step[0] < 1
    assert step[1:].tolist() == [0.0, 0.0, 1.0, 0.0, 1.0]
