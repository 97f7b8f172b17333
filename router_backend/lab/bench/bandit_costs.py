"""What one choice and one update cost, by policy, arms and components.

In a process of its own with the environment of Triton's Python models, since threads of numpy's are counted when it is loaded:
`python -m router_backend.lab.bench.bandit_costs REPEATS` writes the costs as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from router_backend.bandits.batch import Batch
from router_backend.bandits.charges import in_usd
from router_backend.bandits.context import CONTEXT_DIM
from router_backend.bandits.factory import build_policy
from router_backend.bandits.query import Query
from router_backend.bandits.selection import select
from router_backend.config.models import ModelConfig
from router_backend.config.policy import POLICY_SECTIONS, policy_config
from router_backend.triton.server.embedded import python_environment

_CASES = (
    ("linucb", 3, 32),
    ("linucb", 3, 64),
    ("linucb", 3, 128),
    ("linucb", 10, 128),
    ("linucb", 100, 128),
    ("lints", 3, 128),
    ("ucb1", 3, 128),
    ("thompson", 3, 128),
    ("epsilon_greedy", 3, 128),
    ("task", 3, 128),
    ("binary", 3, 128),
)
_CONTEXTS = 500
_NOW = 1_760_000_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BanditCost:
    """µs, p50. `choose` is scores, exploration and propensity on a snapshot; a publication is an update and a snapshot,
    with the copy of the block that the next update of a shared arm makes."""

    policy: str
    arms: int
    components: int
    scores: float
    choose: float
    update: float
    publication: float


def measure_bandits(repeats: int) -> list[BanditCost]:
    """`repeats` choices among few arms, fewer among many. CalledProcessError if the process fails."""
    command = [sys.executable, "-m", "router_backend.lab.bench.bandit_costs", str(repeats)]
    written = subprocess.run(command, env=python_environment({}), stdout=subprocess.PIPE, check=True).stdout
    return [BanditCost(**cost) for cost in json.loads(written)]


def _cost(name: str, arms: int, components: int, repeats: int) -> BanditCost:
    draw = np.random.default_rng(0)
    settings = {"components": components} if "components" in POLICY_SECTIONS[name].model_fields else {}
    config = policy_config({"name": name, **settings})
    policy = build_policy(config, [_model(arm) for arm in range(arms)], None, None)
    contexts = (draw.normal(size=(_CONTEXTS, CONTEXT_DIM)) / 8).astype(np.float32)
    for arm in range(arms):
        told = np.full(_CONTEXTS, arm)
        at = np.full(_CONTEXTS, _NOW)
        policy.update_many(Batch(contexts, told, draw.random(_CONTEXTS), in_usd(draw.random(_CONTEXTS)), at))
    costs = np.arange(1.0, arms + 1) * 1e-3
    everyone = tuple(range(arms))
    queries = [
        Query(context=context, candidates=everyone, expected_cost=costs, prompt_cost=costs / 10) for context in contexts
    ]
    reader = policy.snapshot()

    def update(i: int) -> None:
        policy.update(contexts[i % _CONTEXTS], i % arms, 0.5, 1e-3, _NOW)

    def publish(i: int) -> None:
        update(i)
        policy.snapshot()

    return BanditCost(
        policy=name,
        arms=arms,
        components=components,
        scores=_median(lambda i: reader.scores(queries[i % _CONTEXTS]), repeats),
        choose=_median(lambda i: select(reader, queries[i % _CONTEXTS], draw), repeats),
        update=_median(update, repeats),
        publication=_median(publish, repeats),
    )


def _model(number: int) -> ModelConfig:
    price = {"input": number + 1.0, "output": number + 1.0}
    fields = {"name": f"m{number}", "upstream": {"kind": "local"}, "price": price, "context_window": 8192}
    return ModelConfig.model_validate(fields)


def _median(call: Callable[[int], object], repeats: int) -> float:
    """µs of one call."""
    for i in range(repeats // 10):
        call(i)
    taken = np.empty(repeats)
    for i in range(repeats):
        started = time.perf_counter_ns()
        call(i)
        taken[i] = time.perf_counter_ns() - started
    return float(np.median(taken)) / 1e3


def main(repeats: int) -> None:
    costs = [_cost(name, arms, components, max(200, repeats // arms)) for name, arms, components in _CASES]
    sys.stdout.write(json.dumps([asdict(cost) for cost in costs]))


if __name__ == "__main__":
    main(int(sys.argv[1]))
