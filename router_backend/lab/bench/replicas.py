"""What a lag between replicas costs: regret of replicas that fold one log late, beside one state shared at once.

All replicas fold the same events in the same order (`routing.learner`), so a replica's state is the shared state of some
moments ago: of its last poll, whose phase differs from replica to replica. Replicas of one phase hold the same state, and
are simulated by one policy. The other end is replicas that tell each other nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.context import CONTEXT_DIM
from router_backend.bandits.factory import build_policy
from router_backend.bandits.policy import Policy
from router_backend.bandits.query import Query
from router_backend.config.models import ModelConfig
from router_backend.config.policy import policy_config
from router_backend.contract import EMBEDDING_DIM

LAGS = (50, 1000, 5000)
"""Scored answers between two polls. At 1,000 scores a second 50 is the learner's own poll; 5,000 is five seconds."""
_PHASES = 10
_CLUSTERS = 8  # kinds of prompt
_LAMBDA = 0.2
_COSTS = np.array([0.1, 0.4, 1.0])  # of the arms, as a share of the most expensive
_NOW = 1_760_000_000.0


@dataclass(frozen=True, slots=True)
class Curve:
    """Regret up to each request, in units of reward: mean over the runs, and standard error of its last value."""

    name: str
    regret: NDArray[np.float64]  # [steps]
    error: float

    @classmethod
    def of(cls, name: str, runs: Sequence[NDArray[np.float64]]) -> Curve:
        last = np.array([run[-1] for run in runs])
        error = float(last.std(ddof=1) / np.sqrt(len(runs))) if len(runs) > 1 else float("nan")
        return cls(name, np.mean(runs, axis=0), error)


@dataclass(frozen=True, slots=True)
class World:
    """Synthetic requests: contexts FP32 [steps, CONTEXT_DIM], true mean quality [steps, arms], scores in {0, 1}."""

    contexts: NDArray[np.float32]
    means: NDArray[np.float64]
    scores: NDArray[np.float64]

    @classmethod
    def draw(cls, steps: int, seed: int) -> World:
        rng = np.random.default_rng(seed)
        centres = rng.normal(size=(_CLUSTERS, EMBEDDING_DIM)) / np.sqrt(EMBEDDING_DIM)
        # The expensive arm is good at everything, the others at some kinds of prompt.
        quality = np.column_stack(
            [rng.uniform(0.2, 0.9, _CLUSTERS), rng.uniform(0.4, 0.9, _CLUSTERS), rng.uniform(0.8, 0.95, _CLUSTERS)]
        )
        kind = rng.integers(_CLUSTERS, size=steps)
        contexts = np.zeros((steps, CONTEXT_DIM), np.float32)
        noise = rng.normal(size=(steps, EMBEDDING_DIM)) * 0.3 / np.sqrt(EMBEDDING_DIM)
        contexts[:, :EMBEDDING_DIM] = centres[kind] + noise
        means = quality[kind]
        return cls(contexts, means, (rng.random(means.shape) < means).astype(np.float64))

    @property
    def rewards(self) -> NDArray[np.float64]:
        """True mean reward [steps, arms]."""
        return self.means - _LAMBDA * _COSTS


def simulate(replicas: int, steps: int, lags: Sequence[int], seeds: Sequence[int] = (11,)) -> list[Curve]:
    """One curve for a shared state, one a lag, one for replicas that share nothing; each over the same worlds."""
    worlds = [(World.draw(steps, seed), seed) for seed in seeds]
    shared = [_run(world, [_policy()], replicas, 1, seed) for world, seed in worlds]
    curves = [Curve.of("one shared state", shared)]
    for lag in lags:
        late = [
            _run(world, [_policy() for _ in range(min(_PHASES, lag))], replicas, lag, seed) for world, seed in worlds
        ]
        curves.append(Curve.of(f"{replicas} replicas, {lag:,} scores behind at most", late))
    apart = [_apart(world, replicas, seed) for world, seed in worlds]
    return [*curves, Curve.of(f"{replicas} replicas apart", apart)]


def _policy() -> Policy:
    models = [
        ModelConfig.model_validate(
            {
                "name": f"m{arm}",
                "upstream": {"kind": "local"},
                "price": {"input": cost, "output": cost},
                "context_window": 8192,
            }
        )
        for arm, cost in enumerate(_COSTS)
    ]
    reward = {"name": "difference", "lambda": _LAMBDA}
    config = policy_config({"name": "linucb", "alpha": 0.3, "components": 32, "reward": reward})
    return build_policy(config, models)


def _choose(policy: Policy, context: NDArray[np.float32]) -> int:
    query = Query(context=context, candidates=(0, 1, 2), expected_cost=_COSTS)
    return int(np.argmax(policy.scores(query).values))


def _run(world: World, states: list[Policy], replicas: int, lag: int, seed: int) -> NDArray[np.float64]:
    """State i reads the log when the step is `i · lag / len(states)` into its period."""
    rng = np.random.default_rng(seed + 1)
    read = [0] * len(states)
    arms = np.empty(len(world.contexts), np.intp)
    for step, context in enumerate(world.contexts):
        for number, state in enumerate(states):
            if (step + number * lag // len(states)) % lag == 0:
                for event in range(read[number], step):
                    _learn(state, world, event, int(arms[event]))
                read[number] = step
        arms[step] = _choose(states[int(rng.integers(replicas)) % len(states)], context)
    return _regret(world, arms)


def _apart(world: World, replicas: int, seed: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed + 1)
    states = [_policy() for _ in range(replicas)]
    arms = np.empty(len(world.contexts), np.intp)
    for step, context in enumerate(world.contexts):
        state = states[int(rng.integers(replicas))]
        arms[step] = _choose(state, context)
        _learn(state, world, step, int(arms[step]))
    return _regret(world, arms)


def _learn(policy: Policy, world: World, step: int, arm: int) -> None:
    policy.update(world.contexts[step], arm, float(world.scores[step, arm]), float(_COSTS[arm]), _NOW)


def _regret(world: World, arms: NDArray[np.intp]) -> NDArray[np.float64]:
    rewards = world.rewards
    regret: NDArray[np.float64] = np.cumsum(rewards.max(axis=1) - rewards[np.arange(len(arms)), arms])
    return regret


def draw(curves: Sequence[Curve], replicas: int, file: Path) -> None:
    """Regret over requests, one line a curve. Needs matplotlib (the `train` extra)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "llm-router"
    figure, axis = pyplot.subplots(figsize=(7.5, 4))
    for curve, colour in zip(curves, ("#222222", "#0072B2", "#009E73", "#E69F00", "#D55E00"), strict=False):
        at = np.linspace(0, len(curve.regret) - 1, 300).astype(int)
        axis.plot(at, curve.regret[at], label=curve.name, color=colour)
    axis.set_xlabel(f"requests of all {replicas} replicas together, each with a score")
    axis.set_ylabel("regret, summed")
    axis.legend(frameon=False, fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)
