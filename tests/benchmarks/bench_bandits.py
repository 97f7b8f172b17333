"""Times of one choice and one update, by policy, arms and components: `python -m tests.benchmarks.bench_bandits`.

One thread. `choose` is `selection.select` on a snapshot: scores, exploration and propensity. A publication is a snapshot after
one update, and includes the copy of the block that the next update of a shared arm makes.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from rich.console import Console
from rich.table import Table

from router_backend.bandits.selection import select
from tests.bandits.examples import NOW, make_context, make_models, make_policy, make_query

REPEATS = 5000
CASES = [
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
]


def _times(call: Callable[[int], object], repeats: int) -> str:
    """p50 / p95 in µs."""
    for i in range(repeats // 10):
        call(i)
    taken = np.empty(repeats)
    for i in range(repeats):
        start = time.perf_counter_ns()
        call(i)
        taken[i] = time.perf_counter_ns() - start
    return "{:.1f} / {:.1f}".format(*np.percentile(taken, [50, 95]) / 1e3)


def main() -> None:
    table = Table("policy", "arms", "components", "scores", "choose", "update", "publication", title="µs, p50 / p95")
    for name, arms, components in CASES:
        rng = np.random.default_rng(0)
        policy = make_policy(name, make_models(*range(1, arms + 1)), components=components)
        contexts = np.stack([make_context(rng) for _ in range(500)])
        for arm in range(arms):
            policy.update_many(contexts, np.full(500, arm), rng.random(500), rng.random(500), np.full(500, NOW))
        queries = [make_query(context, range(arms), np.arange(1.0, arms + 1) * 1e-3) for context in contexts]
        reader = policy.snapshot()

        def scores(i: int, reader=reader, queries=queries) -> None:  # type: ignore[no-untyped-def]
            reader.scores(queries[i % 500])

        def choose(i: int, reader=reader, queries=queries, rng=rng) -> None:  # type: ignore[no-untyped-def]
            select(reader, queries[i % 500], rng)

        def update(i: int, policy=policy, contexts=contexts, arms=arms) -> None:  # type: ignore[no-untyped-def]
            policy.update(contexts[i % 500], i % arms, 0.5, 1e-3, NOW)

        def publish(i: int, policy=policy, update=update) -> None:  # type: ignore[no-untyped-def]
            update(i)
            policy.snapshot()

        repeats = max(200, REPEATS // arms)
        cells = [_times(call, repeats) for call in (scores, choose, update, publish)]
        table.add_row(name, str(arms), str(components), *cells)
    Console().print(table)


if __name__ == "__main__":
    main()
