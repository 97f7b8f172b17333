"""An arm that becomes slow loses its traffic before its breaker opens, and gets it back. Time is simulated, the rest is the product's."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from router_backend.bandits.context import CONTEXT_DIM
from router_backend.config import ConfigError, parse_config
from router_backend.contract import EMBEDDING_DIM, TASKS
from router_backend.core.records import Decision, LearningEvent
from router_backend.forwarding.pace import Pace
from router_backend.learning.fold import Fold
from router_backend.prompts.hints import RoutingHints
from router_backend.routing.router import Classified, Router
from router_backend.routing.view import View

CONFIG = """\
version: 1
models:
  - {name: good, upstream: {kind: local}, price: {input: 1, output: 2}, context_window: 8192}
  - {name: plain, upstream: {kind: local}, price: {input: 1, output: 2}, context_window: 8192}
default_model: plain
policy: {name: linucb, epsilon: 0.02, reward: {name: difference, lambda: 0.2}}
"""
PRICED = CONFIG + "latency: {usd_per_second: 0.001}\n"
LIMITED = CONFIG + "latency: {slo_ttft_ms: 1000}\n"
USUAL, SLOW = 0.5, 2.5  # seconds to the first token
TOKEN = 0.005


class World:
    """One client after the other, two models, and a router that has learned which is the better one."""

    def __init__(self, text: str, seed: int) -> None:
        config = parse_config(text)
        self._rng = np.random.default_rng(seed)
        fold = Fold(config, space=1)
        fold.fold(
            [self._event(i, arm, quality) for i in range(100) for arm, quality in (("good", 0.8), ("plain", 0.6))]
        )
        self._view = fold.view()
        self.recorded: list[Decision] = []
        self.router = Router(self, lambda decision, _: self.recorded.append(decision), self._rng)
        self.now = 0.0
        self.paces = {name: Pace(lambda: self.now) for name in config.names}

    def view(self, space: int) -> View:
        return self._view

    def _event(self, number: int, arm: str, quality: float) -> LearningEvent:
        return LearningEvent(
            sequence=number + 1,
            decision_id=str(number),
            arm=arm,
            at=0.0,
            embedding_space=1,
            context=np.concatenate([self._embedding(), np.zeros(CONTEXT_DIM - EMBEDDING_DIM, np.float32)]),
            task="chatbot",
            quality=quality,
            cost=0.0006,
        )

    def _embedding(self) -> NDArray[np.float32]:
        return self._rng.normal(0, 0.1, EMBEDDING_DIM).astype(np.float32)

    def hints(self) -> RoutingHints:
        known = {name: pace.expected for name, pace in self.paces.items()}
        return RoutingHints(prompt_tokens=50, paces={name: pace for name, pace in known.items() if pace})

    def ask(self, good: float) -> str:
        """One request, answered; `good`: seconds to the better model's first token."""
        probabilities = np.full(len(TASKS), 1 / len(TASKS), np.float32)
        model = self.router.decide(Classified(probabilities, 0.4, self._embedding(), 1), self.hints()).model
        for pace in self.paces.values():
            pace.request()
        timing = self.paces[model].begin()
        self.now += (good if model == "good" else USUAL) * self._rng.lognormal(0.0, 0.3)
        timing.first()
        self.now += 100 * TOKEN
        timing.end(101)
        return model

    def share(self, requests: int, good: float) -> float:
        """Of the better model."""
        return sum(self.ask(good) == "good" for _ in range(requests)) / requests


@pytest.mark.parametrize("text", [PRICED, LIMITED], ids=["priced", "limited"])
def test_an_arm_five_times_slower_loses_half_of_its_share_within_40_requests_and_has_it_back_100_after_recovery(
    text: str,
) -> None:
    shares = []
    for seed in range(3):
        world = World(text, seed)
        before = world.share(100, USUAL)
        world.share(40, SLOW)
        slow = world.share(100, SLOW)
        world.share(100, USUAL)
        shares.append((before, slow, world.share(100, USUAL)))
    before, slow, after = np.mean(shares, axis=0)
    assert before > 0.9
    assert slow < before / 2
    assert after > 0.9 * before


def test_without_a_price_or_limit_time_changes_nothing() -> None:
    world = World(CONFIG, 1)
    assert world.share(100, SLOW) > 0.9


def test_the_guard_lets_go_of_a_reference_that_has_become_slow() -> None:
    guarded = PRICED.replace("epsilon: 0.02,", "epsilon: 0.02, guard: {confidence: 0.1, reference: good},")
    world = World(guarded, 5)
    assert world.share(50, USUAL) > 0.9
    world.share(20, SLOW)
    assert world.share(50, SLOW) < 0.5


def test_the_propensity_is_that_of_the_choice_with_time_in_it() -> None:
    world = World(PRICED, 2)
    for _ in range(20):
        world.ask(SLOW)
    decision = world.recorded[-1]
    assert decision.propensity in (pytest.approx(0.99), pytest.approx(0.01))
    best = max(zip(decision.scores, decision.candidates, strict=True))[1]
    assert (decision.propensity == pytest.approx(0.99)) == (decision.model == best)


def test_an_arm_that_was_not_measured_is_tried_where_the_others_are_late() -> None:
    world = World(LIMITED, 3)
    world.hints = lambda: RoutingHints(prompt_tokens=50, paces={"good": (9.0, 0.0)})  # type: ignore[method-assign]
    assert world.share(20, USUAL) == 0.0


def test_where_all_are_late_the_fastest_stays() -> None:
    world = World(LIMITED, 4)
    world.hints = lambda: RoutingHints(  # type: ignore[method-assign]
        prompt_tokens=50, paces={"good": (9.0, 0.0), "plain": (8.0, 0.0)}
    )
    assert world.share(20, USUAL) == 0.0


@pytest.mark.parametrize("policy", ["{name: random}", "{name: linucb, reward: {name: ratio}}", "{name: binary}"])
def test_a_price_of_time_needs_a_price_of_cost(policy: str) -> None:
    text = PRICED.replace("{name: linucb, epsilon: 0.02, reward: {name: difference, lambda: 0.2}}", policy)
    with pytest.raises(ConfigError, match="slo_ttft_ms"):
        parse_config(text)
