"""Where a linear policy starts from: a table of tasks, which a few scores overrule."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from router_backend.bandits.context import CONTEXT_DIM
from router_backend.bandits.selection import greedy
from router_backend.contract import EMBEDDING_DIM, TASKS
from tests.bandits.examples import NOW, make_policy, make_query

TABLE = {"math": "m2", "open_qa": {"model": "m1", "above": {"m2": 0.9}}, "chatbot": "m0"}
COSTS = (0.001, 0.002, 0.003)


def of_task(task: str, seed: int = 0) -> NDArray[np.float32]:
    context = np.zeros(CONTEXT_DIM, np.float32)
    context[:EMBEDDING_DIM] = np.random.default_rng(seed).normal(size=EMBEDDING_DIM) / 16
    context[EMBEDDING_DIM + TASKS.index(task)] = 0.95
    return context


@pytest.mark.parametrize("components", [32, 64, 128])
@pytest.mark.parametrize("name", ["linucb", "lints"])
@pytest.mark.parametrize(("task", "arm"), [("math", 2), ("open_qa", 1), ("chatbot", 0)])
def test_before_anything_is_known_the_table_decides(name: str, components: int, task: str, arm: int) -> None:
    policy = make_policy(name, components=components, table=TABLE, epsilon=0.0)
    assert greedy(policy.snapshot(), make_query(of_task(task), costs=COSTS, task=task)) == arm


def test_a_task_that_the_table_leaves_out_goes_by_cost() -> None:
    policy = make_policy(table=TABLE)
    assert greedy(policy.snapshot(), make_query(of_task("rewrite"), costs=COSTS, task="rewrite")) == 0


def test_a_few_scores_overrule_the_table() -> None:
    policy = make_policy(table=TABLE, alpha=0.1)
    for number in range(12):
        context = of_task("math", number)
        policy.update(context, 2, 0.1, 0.003, NOW)
        policy.update(context, 0, 0.9, 0.001, NOW)
    assert greedy(policy.snapshot(), make_query(of_task("math", 99), costs=COSTS, task="math")) == 0
    assert greedy(policy.snapshot(), make_query(of_task("open_qa", 99), costs=COSTS, task="open_qa")) == 1


def test_a_table_is_no_evidence() -> None:
    assert make_policy(table=TABLE).counts.tolist() == [0.0, 0.0, 0.0]
