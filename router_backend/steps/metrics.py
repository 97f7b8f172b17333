"""What decisions and feedback are counted by: core/metrics.py declares it, the host shows it on its page."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from router_backend.bandits.statistics.change import Change
from router_backend.contract import TASKS
from router_backend.core import metrics as declared
from router_backend.core.decision import RoutedDecision
from router_backend.core.metrics import Declared
from router_backend.core.signals import Agreement

# Of the drift signals: about the last so many decisions.
_WINDOW = 500.0
_EASY = 0.3  # complexity below which the most expensive model is more than was needed


class Number(Protocol):
    """A counter or a gauge; an observation must cost next to nothing."""

    def add(self, value: float, **labels: str) -> None: ...

    def set(self, value: float, **labels: str) -> None: ...


class Distribution(Protocol):
    """A histogram."""

    def observe(self, value: float, **labels: str) -> None: ...


class Instruments(Protocol):
    """A host's page of metrics."""

    def number(self, metric: Declared) -> Number: ...

    def distribution(self, metric: Declared) -> Distribution: ...


class NoInstruments:
    """Of a host without a page."""

    def number(self, metric: Declared) -> Number:
        return _Nothing()

    def distribution(self, metric: Declared) -> Distribution:
        return _Nothing()


class _Nothing:
    def add(self, value: float, **labels: str) -> None: ...

    def set(self, value: float, **labels: str) -> None: ...

    def observe(self, value: float, **labels: str) -> None: ...


class RouterMetrics:
    """Of decisions."""

    def __init__(self, instruments: Instruments, tasks: Sequence[str] = TASKS) -> None:
        """`tasks`: of the classifier in use; those of others join them with their first decision."""
        number, distribution = instruments.number, instruments.distribution
        self._decisions = number(declared.DECISIONS)
        self._seconds = distribution(declared.CHOICE_SECONDS)
        self._routing = distribution(declared.ROUTING_SECONDS)
        self._explored = number(declared.EXPLORATIONS)
        self._easy, self._over_routed = number(declared.EASY_DECISIONS), number(declared.OVER_ROUTED)
        self._shadow = number(declared.SHADOW_DECISIONS)
        self._task_share = number(declared.TASK_SHARE)
        self._confidence = number(declared.TASK_CONFIDENCE)
        self._complexity = number(declared.COMPLEXITY_MEAN)
        self._changes, self._changed_at = number(declared.MODEL_CHANGES), number(declared.MODEL_CHANGED_SECONDS)
        self._agreement, self._weight = number(declared.SOURCE_AGREEMENT), number(declared.SOURCE_WEIGHT)
        self._known: Mapping[str, tuple[Change, ...]] = {}
        self._lost = number(declared.RECORDS_DROPPED)
        self._store_up, self._store_at = number(declared.STATE_STORE_UP), number(declared.STATE_STORE_SECONDS)
        self._behind = number(declared.LEARNING_BEHIND)
        self._archive_behind = number(declared.ARCHIVE_BEHIND)
        self._archive_behind.set(0.0)  # so that the alert measures something without an archive, too
        self._places = {task: place for place, task in enumerate(tasks)}
        self._shares = np.full(len(tasks), 1.0 / len(tasks))
        self._mean_confidence = self._mean_complexity = 0.0
        self._seen = self._told = 0

    def decided(self, decision: RoutedDecision) -> None:
        kind = decision.reason.partition(":")[0]
        version = decision.policy_version
        labels = {"model": decision.model, "task": decision.task or "none", "reason": kind, "policy_version": version}
        self._decisions.add(1, **labels)
        if "routing" in decision.timings_ms:
            self._routing.observe(decision.timings_ms["routing"] / 1e3)
        if "decision" not in decision.timings_ms:
            return
        self._seconds.observe(decision.timings_ms["decision"] / 1e3)
        if kind == "explore":
            self._explored.add(1, model=decision.model)
        if decision.complexity < _EASY and len(decision.expected_cost) > 1:
            self._easy.add(1)
            if decision.model == max(decision.expected_cost, key=decision.expected_cost.__getitem__):
                self._over_routed.add(1, model=decision.model)
        self._drift(decision)

    def _drift(self, decision: RoutedDecision) -> None:
        self._seen += 1
        step = 1.0 / min(self._seen, _WINDOW)
        self._shares *= 1.0 - step
        if (place := self._places.get(decision.task)) is None:
            place = self._places[decision.task] = len(self._shares)
            self._shares = np.append(self._shares, 0.0)
        self._shares[place] += step
        self._mean_confidence += step * (decision.confidence - self._mean_confidence)
        self._mean_complexity += step * (decision.complexity - self._mean_complexity)

    def drifted(self) -> None:
        """Tell what the prompts are like by now. Not with each decision: fourteen numbers would be a tenth of its time."""
        if self._told == self._seen:
            return
        self._told = self._seen
        for task, share in zip(tuple(self._places), self._shares.tolist(), strict=False):
            self._task_share.set(share, task=task)
        self._confidence.set(self._mean_confidence)
        self._complexity.set(self._mean_complexity)

    def changed(self, changes: Mapping[str, tuple[Change, ...]]) -> None:
        """What the main policy has found changed so far, by model."""
        for model, found in changes.items():
            if self._known.get(model) != found:
                self._changes.set(len(found), model=model)
                if found:
                    self._changed_at.set(found[-1].at, model=model)
        self._known = changes

    def agreed(self, agreements: Mapping[str, Agreement]) -> None:
        """How far sources agree with people so far."""
        for source, agreement in agreements.items():
            self._agreement.set(agreement.agreement, source=source)
            self._weight.set(agreement.weight, source=source)

    def shadowed(self, shadows: Mapping[str, str]) -> None:
        for policy, model in shadows.items():
            self._shadow.add(1, policy=policy, model=model)

    def dropped(self, count: int) -> None:
        self._lost.add(count)

    def behind(self, events: int) -> None:
        """How much of the log is still to be read."""
        self._behind.set(events)

    def archive_behind(self, seconds: float) -> None:
        """How old the oldest record is that isn't in the archive."""
        self._archive_behind.set(seconds)

    def store_answered(self, up: bool) -> None:
        self._store_up.set(1.0 if up else 0.0)
        if up:
            self._store_at.set(time.time())


class FeedbackMetrics:
    """Of feedback; labels name the arm that answered."""

    def __init__(self, instruments: Instruments) -> None:
        number, distribution = instruments.number, instruments.distribution
        self._feedback = number(declared.FEEDBACK)
        self._reward, self._score = distribution(declared.REWARD), distribution(declared.FEEDBACK_SCORE)
        self._confusion = number(declared.TASK_LABELS)
        self._writable = number(declared.STATE_STORE_WRITABLE)

    def accepted(
        self, model: str, task: str, policy_version: str, score: float, reward: float, duplicate: bool
    ) -> None:
        result = "duplicate" if duplicate else "accepted"
        self._feedback.add(1, model=model, task=task, result=result)
        if not duplicate:
            self._reward.observe(reward, model=model, policy_version=policy_version)
            self._score.observe(score, model=model, task=task)

    def stored(self, taken: bool) -> None:
        """Whether the store took what it was given."""
        self._writable.set(float(taken))

    def refused(self, code: str) -> None:
        self._feedback.add(1, model="none", task="none", result=code.lower())

    def labelled(self, predicted: str, actual: str) -> None:
        self._confusion.add(1, predicted=predicted, actual=actual, correct=str(predicted == actual).lower())
