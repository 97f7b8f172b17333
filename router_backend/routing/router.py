"""One classified prompt to one decision. Nothing here waits: policies are read from a view, the log is written behind."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.context import build_context
from router_backend.bandits.policy import Policy
from router_backend.bandits.query import Query
from router_backend.bandits.rules import within
from router_backend.bandits.selection import select, settled
from router_backend.contract import TASKS
from router_backend.core.decision import RoutedDecision
from router_backend.core.ids import new_decision_id
from router_backend.core.records import Decision
from router_backend.prompts.hints import RoutingHints
from router_backend.routing.candidates import NoCandidate, candidates, needs_of
from router_backend.routing.capabilities import fits
from router_backend.routing.experiments import Assignment, assign
from router_backend.routing.latency import in_time, time_cost
from router_backend.routing.load import less_what_is_paid_anyway
from router_backend.routing.verdict import Verdict, since
from router_backend.routing.view import View

log = logging.getLogger(__name__)

Estimate = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Classified:
    """One row of the classifier's outputs."""

    task_probabilities: NDArray[np.float32]  # [TASK_PLACES], the first of them those of `tasks`
    complexity: float
    embedding: NDArray[np.float32]  # [EMBEDDING_DIM]
    embedding_space: int
    tasks: tuple[str, ...] = TASKS

    @property
    def usable(self) -> bool:
        """False for what a broken classifier answers (numbers that aren't finite)."""
        return bool(np.isfinite(self.task_probabilities).all() and np.isfinite(self.embedding).all())

    def copy(self) -> Classified:
        """The same, in memory of its own."""
        return replace(self, task_probabilities=self.task_probabilities.copy(), embedding=self.embedding.copy())


class Views(Protocol):
    """Where a router reads what has been learned: the learner, or a replay."""

    def view(self, space: int) -> View: ...


class UnknownPolicy(ValueError):
    """The request names a policy that isn't configured; the message lists those that are."""


class Router:
    """Decides; hands each decision to `record`, which must return at once, and what estimates a propensity not known yet."""

    def __init__(
        self,
        views: Views,
        record: Callable[[Decision, Estimate | None], object],
        rng: np.random.Generator | None = None,
    ) -> None:
        self._views = views
        self._record = record
        self._rng = rng or np.random.default_rng()

    def decide(self, classified: Classified, hints: RoutingHints) -> RoutedDecision:
        """Choose an arm. A failure of ours is a decision for the default model, `reason` says why.

        Raises:
            NoCandidate: no arm may take this request.
            UnknownPolicy: the request asks for a policy that isn't configured.
        """
        started = time.perf_counter()
        view = self._views.view(classified.embedding_space)
        if not hints.degraded and not classified.usable:
            hints = replace(hints, degraded="classifier")
        if hints.degraded:
            return self._fallback(view, hints, hints.degraded)
        try:
            return self._decide(view, classified, hints, started)
        except (NoCandidate, UnknownPolicy):
            raise
        except Exception:  # routing trouble is never the user's: the default model answers
            log.exception("a decision failed; the default model is taken")
            return self._fallback(view, hints, "router")

    def _decide(self, view: View, classified: Classified, hints: RoutingHints, started: float) -> RoutedDecision:
        config, now, names = view.config, time.time(), view.config.names
        probabilities = classified.task_probabilities
        tasks = classified.tasks
        task_index = int(probabilities[: len(tasks)].argmax())
        task = tasks[task_index]
        assignment = self._assignment(view, hints)
        policy = view.policies[assignment.policy]
        expected = view.costs.expected(
            hints.prompt_tokens,
            task,
            hints.max_tokens,
            _by_arm(names, hints.warm) if hints.warm else None,
            _by_arm(names, hints.writes) if hints.writes else None,
        )
        context = build_context(
            classified.embedding,
            probabilities,
            classified.complexity,
            hints.prompt_tokens,
            hints.japanese,
            hints.code,
            hints.depth,
            hints.tool,
            hints.failed,
        )
        query = Query(
            context=context,
            candidates=candidates(config, hints),
            expected_cost=expected.total,
            prompt_cost=expected.prompt,
            cache_saving=expected.saving,
            answer_limit=expected.answer_limit,
            task=task,
            task_probabilities=probabilities,
            complexity=classified.complexity,
            confidence=float(probabilities[task_index]),
            previous=_position(names, hints.previous_model),
            cacheable=expected.cacheable,
            prompt_tokens=hints.prompt_tokens,
            steps=policy.rules.loop_steps if "tools" in hints.needs and expected.cacheable is not None else 0.0,
            time_cost=less_what_is_paid_anyway(time_cost(view, hints, task), view, hints, expected),
            cost_ratio=hints.cost_ratio,
        )
        query = in_time(config, query, hints)
        query = _good_enough(policy, _cheap_enough(policy, query, hints.max_cost), hints.min_quality)
        able, most = query.candidates, 0.0
        if hints.depth:
            query, most = settled(policy, query)
        choice = select(policy, query, self._rng, most)
        if len(query.candidates) == 1 < len(able):
            choice.reason = "sticky"
        verdict = Verdict(
            new_decision_id(now),
            now,
            view,
            names,
            assignment,
            hints,
            classified.embedding_space,
            tasks,
            query,
            choice,
            able,
        )
        answer = verdict.answer(started)
        if not hints.dry_run:
            self._record(verdict.record(answer), choice.estimate)
        return answer

    def _assignment(self, view: View, hints: RoutingHints) -> Assignment:
        if not hints.policy:
            return assign(view.config, hints.session or hints.prompt)
        if hints.policy not in view.policies:
            known = ", ".join(sorted(name for name in view.policies if name))
            raise UnknownPolicy(f"policy {hints.policy!r} isn't configured; this deployment has {known}")
        return Assignment(policy=hints.policy, experiment="")

    def _fallback(self, view: View, hints: RoutingHints, cause: str) -> RoutedDecision:
        names = view.config.names
        allowed = [name for name in names if hints.candidates is None or name in hints.candidates]
        default = view.config.default_model
        needs = needs_of(hints)
        # Models that can't take the request come last: they are asked only where no other is left.
        allowed.sort(key=lambda name: (not fits(view.config.model(name), needs), name != default))
        model = allowed[0] if allowed else default
        decision = RoutedDecision(
            decision_id=new_decision_id(),
            model=model,
            reason=f"fallback:{cause}",
            ranking=[model, *(name for name in allowed if name != model)],
            timings_ms={"routing": since(hints)},
        )
        if hints.dry_run:
            return decision
        self._record(
            Decision(
                decision_id=decision.decision_id,
                created=time.time(),
                kind="fallback",
                model=model,
                reason=decision.reason,
                session=hints.session,
                prompt=hints.prompt,
            ),
            None,
        )
        return decision


def _cheap_enough(policy: Policy, query: Query, ceiling: float | None) -> Query:
    """Without arms that are expected to cost more than the request's ceiling; the cheapest one stays whatever it costs."""
    if ceiling is None or len(query.candidates) == 1:
        return query
    return query.among(within(query.candidates, policy.scores(query).costs, [ceiling] * len(query.candidates)))


def _good_enough(policy: Policy, query: Query, floor: float | None) -> Query:
    """Without arms whose expected quality is under the request's floor; the best one stays whatever it is."""
    if floor is None or len(query.candidates) == 1:
        return query
    qualities = policy.qualities(query)
    kept = tuple(arm for arm, quality in zip(query.candidates, qualities, strict=True) if quality >= floor)
    best = query.candidates[max(range(len(qualities)), key=qualities.__getitem__)]
    return query.among(kept or (best,))


def _by_arm(names: tuple[str, ...], values: Mapping[str, float]) -> NDArray[np.float64]:
    """[arms], 0 for those that are missing."""
    return np.array([values.get(name, 0.0) for name in names])


def _position(names: tuple[str, ...], name: str) -> int | None:
    return names.index(name) if name in names else None
