"""Decisions by a classifier of other tasks than the twelve."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from router_backend.bandits.context import CONTEXT_DIM
from router_backend.config import RouterConfig, parse_config
from router_backend.config.load import ConfigError
from router_backend.contract import EMBEDDING_DIM, TASK_PLACES, TASKS
from router_backend.core.decision import RoutedDecision
from router_backend.core.records import Decision, LearningEvent
from router_backend.learning.fold import Fold
from router_backend.prompts.hints import RoutingHints
from router_backend.routing.router import Classified, Router
from router_backend.routing.view import View
from router_backend.state.codec import decode, encode

OWN = ("triage", "reply", "digest", "lookup")
CONFIG = """\
version: 1
models:
  - {name: big, upstream: {kind: local}, price: {input: 1, output: 2}, context_window: 8192, max_tokens_by_task: {reply: 10}}
  - {name: small, upstream: {kind: local}, price: {input: 0.01, output: 0.02}, context_window: 8192}
default_model: small
tasks: [triage, reply, digest, lookup]
policy: POLICY
"""
TABLE = "{triage: small, reply: big, digest: small, lookup: big}"
BY_TABLE = CONFIG.replace("POLICY", f"{{name: task, table: {TABLE}}}")
LEARNS = CONFIG.replace("POLICY", f"{{name: linucb, epsilon: 0.0, alpha: 0.0, table: {TABLE}}}")


class Setup:
    """A router over folds of the space 1, of the twelve tasks, and of the space 2, of the own ones."""

    def __init__(self, text: str, events: tuple[LearningEvent, ...] = ()) -> None:
        self.config: RouterConfig = parse_config(text)
        self._views: dict[int, View] = {}
        for space, tasks in ((1, TASKS), (2, OWN)):
            fold = Fold(self.config, space, tasks=tasks)
            fold.fold(events)
            self._views[space] = fold.view()
        self.recorded: list[Decision] = []
        self.router = Router(self, lambda decision, _: self.recorded.append(decision), np.random.default_rng(7))

    def view(self, space: int) -> View:
        return self._views[space]

    def decide(self, task: str, space: int = 2) -> RoutedDecision:
        return self.router.decide(classified(task, space), RoutingHints(prompt_tokens=20))


def classified(task: str, space: int = 2) -> Classified:
    tasks = OWN if space == 2 else TASKS
    probabilities = np.zeros(TASK_PLACES, np.float32)
    probabilities[: len(tasks)] = 0.1 / (len(tasks) - 1)
    probabilities[tasks.index(task)] = 0.9
    return Classified(probabilities, 0.4, np.zeros(EMBEDDING_DIM, np.float32), space, tasks)


@pytest.mark.parametrize("text", [BY_TABLE, LEARNS])
def test_a_rule_for_a_task_of_ones_own_is_followed(text: str) -> None:
    setup = Setup(text)
    assert [setup.decide(task).model for task in OWN] == ["small", "big", "small", "big"]


def test_a_decision_says_and_records_the_names_of_its_tasks() -> None:
    setup = Setup(BY_TABLE)
    decision = setup.decide("digest")
    assert decision.task == "digest"
    assert decision.by_task == pytest.approx(dict(zip(OWN, (0.1 / 3, 0.1 / 3, 0.9, 0.1 / 3), strict=True)))
    again = RoutedDecision.from_json(decision.to_json())
    assert again.by_task == decision.by_task
    assert again.confidence == pytest.approx(0.9)
    (kept,) = setup.recorded
    assert decode(Decision, encode(kept)).by_task == decision.by_task
    assert kept.context.shape == (CONTEXT_DIM,)
    assert kept.context[EMBEDDING_DIM : EMBEDDING_DIM + TASK_PLACES].tolist() == pytest.approx(
        [*decision.by_task.values(), *[0.0] * 8]
    )


def test_those_of_the_twelve_are_as_they_were() -> None:
    decision = Setup(BY_TABLE).decide("math", space=1)
    assert isinstance(decision.task_probabilities, list)
    assert len(decision.task_probabilities) == 12
    assert decision.by_task["math"] == pytest.approx(0.9)


def test_lengths_of_answers_and_their_caps_are_by_own_tasks() -> None:
    setup = Setup(BY_TABLE)
    costs = setup.view(2).costs
    assert costs.answer_tokens("reply").tolist() == [10, 256]
    assert costs.answer_tokens("lookup").tolist() == [256, 256]
    event = event_of("digest", 2, quality=1.0)
    taught = Setup(BY_TABLE, (event, replace(event, sequence=2))).view(2).costs
    assert taught.answer_tokens("digest")[0] > taught.answer_tokens("lookup")[0] > 256


def test_what_was_learned_with_other_tasks_is_not_mixed() -> None:
    # The first place of both lists is the same place of a context: with the twelve the cheap model fails there.
    fails = tuple(
        replace(event_of("brainstorming", 1, quality=0.0, arm="small"), sequence=n, decision_id=f"d{n}")
        for n in range(1, 60)
    )
    setup = Setup(LEARNS, fails)
    assert setup.decide("brainstorming", space=1).model == "big"
    assert setup.decide("triage", space=2).model == "small"


def event_of(task: str, space: int, quality: float, arm: str = "big") -> LearningEvent:
    setup = Setup(BY_TABLE)
    setup.decide(task, space)
    made = setup.recorded[-1]
    return LearningEvent(
        sequence=1,
        decision_id=made.decision_id,
        arm=arm,
        at=made.created,
        embedding_space=space,
        context=made.context,
        task=task,
        quality=quality,
        cost=0.0,
        output_tokens=1000,
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            ("tasks: [triage, reply, digest, lookup]\n", ""),
            "router.yaml:6: policy.table.triage: unknown task; tasks are brainstorming",
        ),
        (("triage: small", "trage: small"), "unknown task; tasks are .*, lookup"),
        (("tasks: [triage,", "tasks: [Triage,"), "'Triage' can't be a task"),
    ],
)
def test_a_name_that_is_no_task_is_found_in_the_configuration(change: tuple[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_config(BY_TABLE.replace(*change))
