"""Strategies on simulated runs: the served router decides by what the served fold has learned, and the simulated providers bill."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from router_backend.bandits.context import build_context
from router_backend.config import RouterConfig, parse_config
from router_backend.core.records import LearningEvent, Usage
from router_backend.gateway.caches import Caches
from router_backend.lab.agents.world import MODELS, PRICES, Bill, Run, Step, runs
from router_backend.learning.fold import Fold
from router_backend.prompts.hints import RoutingHints
from router_backend.routing.router import Classified, Router
from router_backend.routing.view import View

STRATEGIES = ("blind", "sticky", "ours")
_SPACE = 1
_NOW = 1.7e9
_LEARN, _COUNT = 1_000_000, 0  # seeds of what is learned from and of what counts are apart


def configuration(weight: float, loop: str = "") -> RouterConfig:
    """`weight`: λ of the reward, how much quality the step to the most expensive model's cost must bring."""
    models = "".join(
        f"  - {{name: {name}, upstream: {{kind: local}}, price: {{{', '.join(f'{k}: {v}' for k, v in price.items())}}},"
        " context_window: 1000000, capabilities: [tools]}\n"
        for name, price in PRICES.items()
    )
    policy = f"policy: {{name: linucb, alpha: 0.05, reward: {{name: difference, lambda: {weight}}}{loop}}}"
    return parse_config(f"version: 1\nmodels:\n{models}default_model: large\n{policy}\n")


@dataclass(frozen=True, slots=True)
class Played:
    """Means over the runs of one seed."""

    quality: float  # of a step
    cost: float  # USD a run
    switches: float  # a run
    cached: float  # share of the prompt tokens


class Player:
    """One strategy. The policy has learned from scored steps that models were drawn for; it learns no more while it plays."""

    def __init__(
        self, strategy: str, weight: float, seed: int, scored: Sequence[LearningEvent], loop: str = ""
    ) -> None:
        self._strategy, self._caches = strategy, Caches()
        fold = Fold(configuration(weight, loop), _SPACE)
        fold.fold(scored)
        self._view = fold.view()
        self._router = Router(self, lambda decision, estimate: None, np.random.default_rng([seed, 2]))

    def view(self, space: int) -> View:
        return self._view

    def play(self, run: Run) -> Played:
        """Answer a run's requests."""
        bill, now, previous = Bill(), 0.0, ""
        prompts = cached = switches = 0
        quality = cost = 0.0
        for step in run.steps:
            now += step.pause
            model = self._choose(run, step, bill, previous, now)
            warm = bill.read.get(model)
            hit, usd = bill.pay(model, step, now)
            if warm:
                self._caches.observe(model, warm[0], now - warm[1], hit)
            switches += previous not in ("", model)
            previous = model
            quality, cost = quality + float(step.quality[MODELS.index(model)]), cost + usd
            prompts, cached = prompts + step.prompt, cached + hit
        return Played(quality / len(run.steps), cost, float(switches), cached / prompts)

    def _choose(self, run: Run, step: Step, bill: Bill, previous: str, now: float) -> str:
        if self._strategy in MODELS:
            return self._strategy
        if self._strategy == "sticky" and previous:
            return previous
        hints = RoutingHints(prompt_tokens=step.prompt, depth=step.depth, tool=step.tool, failed=step.failed)
        if self._strategy == "ours":
            held = {model: self._caches.expected(model, tokens, now - at) for model, (tokens, at) in bill.read.items()}
            hints = replace(hints, needs=["tools"], previous_model=previous, warm=held)
        classified = Classified(run.probabilities, run.complexity, run.embedding, _SPACE)
        return self._router.decide(classified, hints).model


def scored_steps(n: int, seed: int) -> Iterator[LearningEvent]:
    """What every strategy's policy has learned from: steps of other runs, each of a model drawn at random."""
    draw, sequence = np.random.default_rng([seed, 3]), 0
    for run in runs(10 * n, seed, seed + _LEARN):
        for step in run.steps:
            if draw.random() > 0.2:
                continue
            arm, sequence = int(draw.integers(len(MODELS))), sequence + 1
            usage = Usage(prompt=step.prompt, completion=step.answer)
            yield LearningEvent(
                sequence=sequence,
                decision_id=str(sequence),
                arm=MODELS[arm],
                at=_NOW,
                embedding_space=_SPACE,
                context=build_context(
                    run.embedding,
                    run.probabilities,
                    run.complexity,
                    step.prompt,
                    False,
                    False,
                    step.depth,
                    step.tool,
                    step.failed,
                ),
                task="code_generation",
                quality=float(draw.random() < step.quality[arm]),
                cost=0.0,
                output_tokens=step.answer,
                usage=usage,
            )
            if sequence == n:
                return


def play(strategy: str, weight: float, seed: int, n: int, scored: Sequence[LearningEvent], loop: str = "") -> Played:
    """One strategy, or one model always, on n runs of a seed."""
    player = Player(strategy, weight, seed, scored, loop)
    played = [player.play(run) for run in runs(n, seed, seed)]
    steps = np.array([[each.quality, each.cost, each.switches, each.cached] for each in played])
    return Played(*steps.mean(0).tolist())
