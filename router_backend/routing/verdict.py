"""One choice, with all that was known when it was made: what `route` answers and what the log keeps are written from it."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from router_backend.bandits.query import Choice, Query
from router_backend.bandits.selection import greedy
from router_backend.contract import TASKS
from router_backend.core.decision import RoutedDecision
from router_backend.core.records import Decision
from router_backend.prompts.hints import RoutingHints
from router_backend.routing.experiments import Assignment
from router_backend.routing.view import View


class Verdict(NamedTuple):
    """A policy's choice for one request."""

    decision_id: str
    created: float  # Unix seconds
    view: View
    names: tuple[str, ...]  # of the view's arms
    assignment: Assignment
    hints: RoutingHints
    embedding_space: int  # of the query's context
    tasks: tuple[str, ...]  # of its probabilities
    query: Query
    choice: Choice
    able: tuple[int, ...]  # arms that could answer, those included that a loop doesn't change to

    def answer(self, started: float) -> RoutedDecision:
        """What `route` answers; `started`: `time.perf_counter()` when the decision began."""
        arms, choice, hints = self.names, self.choice, self.hints
        policy = self.view.policies[self.assignment.policy]
        names = [arms[arm] for arm in choice.candidates]
        model, saved = arms[choice.arm], self.query.cache_saving
        ranking = [arms[arm] for arm in choice.ranking]
        if len(self.able) > len(choice.candidates):  # a loop's model may fail, too
            ranking += [arms[arm] for arm in self.able if arms[arm] not in ranking]
        probabilities = np.asarray(self.query.task_probabilities).tolist()
        return RoutedDecision(
            decision_id=self.decision_id,
            model=model,
            reason=choice.reason,
            task=self.query.task,
            task_probabilities=probabilities
            if self.tasks == TASKS
            else dict(zip(self.tasks, probabilities, strict=False)),
            complexity=float(self.query.complexity),
            ranking=ranking,
            scores=dict(zip(names, choice.scores, strict=True)),
            means=dict(zip(names, choice.means, strict=True)),
            bonuses=dict(zip(names, choice.bonuses, strict=True)),
            expected_cost=dict(zip(names, choice.costs, strict=True)),
            cache_savings={} if saved is None else {arms[arm]: saved.item(arm) for arm in choice.candidates},
            propensity=choice.propensity,
            policy=self.assignment.policy or policy.name,
            policy_version=policy.version,
            experiment=self.assignment.experiment,
            switched=bool(hints.previous_model) and hints.previous_model != model,
            timings_ms={"decision": 1e3 * (time.perf_counter() - started), "routing": since(hints)},
        )

    def record(self, answer: RoutedDecision) -> Decision:
        """What the log keeps: the answer's parts in the log's shape, and what only an off-policy estimate needs."""
        view, choice, names = self.view, self.choice, self.names
        shadows = [(shadow.name, view.policies[shadow.name]) for shadow in view.config.shadows]
        return Decision(
            decision_id=answer.decision_id,
            created=self.created,
            kind="routed",
            model=answer.model,
            reason=answer.reason,
            policy=answer.policy,
            policy_version=answer.policy_version,
            experiment=answer.experiment,
            task=answer.task,
            task_probabilities=tuple(answer.by_task.values()),
            tasks=() if self.tasks == TASKS else self.tasks,
            complexity=answer.complexity,
            embedding_space=self.embedding_space,
            context=self.query.context,
            candidates=tuple(names[arm] for arm in choice.candidates),
            scores=tuple(choice.scores),
            propensity=choice.propensity,
            expected_cost=tuple(choice.costs),
            cost_weight=choice.cost_weight,
            shadows=tuple((name, names[greedy(policy, self.query)]) for name, policy in shadows),
            session=self.hints.session,
            prompt=self.hints.prompt if self.hints.repeatable else "",
        )


def since(hints: RoutingHints) -> float:
    """Milliseconds since the tokenizer got the request; 0 if it didn't say when."""
    return 1e3 * (time.monotonic() - hints.received) if hints.received else 0.0
