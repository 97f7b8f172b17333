"""Strategies on simulated runs: the served router decides by what the served fold has learned, and the simulated providers bill."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.context import build_context
from router_backend.config import RouterConfig, parse_config
from router_backend.core.records import LearningEvent, Usage
from router_backend.gateway.caches import Caches
from router_backend.lab.agents.world import MODELS, Bill, Provider, Run, Step, runs
from router_backend.learning.fold import Fold
from router_backend.prompts.hints import RoutingHints
from router_backend.routing.router import Classified, Router
from router_backend.routing.view import View

STRATEGIES = ("blind", "sticky", "ours")
_SPACE = 1
_NOW = 1.7e9
_SCALE = 0.1  # USD that λ is the price of: the same for all strategies and requests
_LEARN, _COUNT = 1_000_000, 0  # seeds of what is learned from and of what counts are apart


def configuration(provider: Provider, weights: Sequence[float], loop: str = "") -> RouterConfig:
    """A policy for each of `weights`, λ of the reward: how much quality 0.1 USD must bring."""
    models = "".join(
        f"  - {{name: {name}, upstream: {{kind: local}}, price: {{{', '.join(f'{k}: {v}' for k, v in price.items())}}},"
        " context_window: 1000000, capabilities: [tools]}\n"
        for name, price in provider.prices.items()
    )
    shape = f"{{name: linucb, alpha: 0.05, reward: {{name: difference, lambda: %g, cost_scale_usd: {_SCALE}}}{loop}}}"
    policies = "".join(f"  - {{name: {policy(weight)}, share: 0.01, policy: {shape % weight}}}\n" for weight in weights)
    experiments = f"experiments:\n{policies}" if policies else ""
    return parse_config(f"version: 1\nmodels:\n{models}default_model: large\npolicy: {shape % 0.2}\n{experiments}")


def policy(weight: float) -> str:
    """Name of the policy of a λ."""
    return f"lambda-{weight:g}".replace(".", "-")


@dataclass(frozen=True, slots=True)
class Played:
    """Of all runs of one seed."""

    quality: float  # of a step: mean over all steps of all runs
    cost: float  # USD a run
    switches: float  # a run
    cached: float  # share of the prompt tokens


class Player:
    """All strategies on one seed. The policies have learned from scored steps that models were drawn for; they learn no more while they play."""

    def __init__(
        self, provider: Provider, weights: Sequence[float], seed: int, scored: Sequence[LearningEvent], loop: str = ""
    ) -> None:
        self._provider, self._seed = provider, seed
        fold = Fold(configuration(provider, weights, loop), _SPACE)
        fold.fold(scored)
        self._view = fold.view()

    def view(self, space: int) -> View:
        return self._view

    def play(self, strategy: str, weight: float, n: int) -> Played:
        """Answer n runs' requests by one strategy at one λ; or by one model, by its name."""
        router = Router(self, lambda decision, estimate: None, np.random.default_rng([self._seed, 2]))
        caches = Caches()
        totals, steps = np.zeros(5), 0
        for run in runs(n, self._seed, self._seed):
            bill, now, previous = Bill(self._provider), 0.0, ""
            for step in run.steps:
                now += step.pause
                hints = self._hints(strategy, weight, step, bill, caches, previous, now)
                if strategy in MODELS:
                    model = strategy
                elif strategy == "sticky" and previous:
                    model = previous
                else:
                    classified = Classified(run.probabilities, run.complexity, run.embedding, _SPACE)
                    model = router.decide(classified, hints).model
                quality = float(step.quality[MODELS.index(model)])
                read = bill.read.get(model)
                hit, written, usd = bill.pay(model, step, now)
                if read:
                    caches.observe(model, read[0], now - read[1], hit)
                if step.prompt > hit:
                    caches.take(model, written / (step.prompt - hit))
                totals += quality, usd, previous not in ("", model), step.prompt, hit
                previous = model
            steps += len(run.steps)
        quality, cost, switches, prompts, cached = totals.tolist()
        return Played(quality / steps, cost / n, switches / n, cached / prompts)

    def _hints(
        self, strategy: str, weight: float, step: Step, bill: Bill, caches: Caches, previous: str, now: float
    ) -> RoutingHints:
        hints = RoutingHints(
            prompt_tokens=step.prompt, depth=step.depth, tool=step.tool, failed=step.failed, policy=policy(weight)
        )
        if strategy != "ours":
            return hints
        held = {model: caches.expected(model, tokens, now - at) for model, (tokens, at, _) in bill.read.items()}
        return replace(hints, needs=["tools"], previous_model=previous, warm=held, writes=caches.writes(MODELS))


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
                context=_context(run, step),
                task="code_generation",
                quality=float(draw.random() < step.quality[arm]),
                cost=0.0,
                output_tokens=step.answer,
                usage=usage,
            )
            if sequence == n:
                return


def _context(run: Run, step: Step) -> NDArray[np.float32]:
    return build_context(
        run.embedding,
        run.probabilities,
        run.complexity,
        step.prompt,
        False,
        False,
        step.depth,
        step.tool,
        step.failed,
    )
