"""`feedback`: scores, and the records that gateways report. What it accepts is durable."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import triton_python_backend_utils as pb_utils

from router_backend.bandits.rewards import build_reward
from router_backend.config import RouterConfig
from router_backend.config.runtime import config_path, runtime_config, state_dir
from router_backend.config.watch import ConfigWatcher
from router_backend.contract import TASKS
from router_backend.core.records import Feedback, FeedbackResult
from router_backend.learning.implicit import ImplicitFeedback
from router_backend.state.codec import decode_records
from router_backend.state.credit import check_feedback
from router_backend.state.inflight import add_feedback_many_waiting
from router_backend.state.open import open_store
from router_backend.state.spend import periods
from router_backend.state.store import StoreError, UnknownDecision
from router_backend.triton.models import metrics, process, tensors
from router_backend.triton.models.tensors import InvalidInput

log = logging.getLogger(__name__)


# What stands in front of a message, and Triton's name of it.
_CODES = {"NOT_FOUND": "NOT_FOUND", "INVALID_ARGUMENT": "INVALID_ARG", "UNAVAILABLE": "UNAVAILABLE"}


@dataclass(frozen=True, slots=True)
class _Refused:
    """An answer that is an error; the code is what the gateway maps to an HTTP status."""

    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


@dataclass(slots=True)
class _Score:
    """One row: a feedback and what became of it. Records have no feedback and no reward, but what keys have spent."""

    feedback: Feedback | None
    spend: bytes = b""  # JSON: USD by key, by period
    outcome: float | _Refused = math.nan  # the reward that was learned


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        process.begin("feedback", guard=True)
        config = runtime_config()
        self._store = open_store(config.state, state_dir(), config.retention_days)
        self._implicit = ImplicitFeedback(self._store, config.implicit)
        self._apply(config)
        self._metrics = metrics.FeedbackMetrics()
        self._watcher = ConfigWatcher(config_path(), self._apply)
        self._watcher.start()

    def execute(self, requests: list[Any]) -> list[Any]:
        """Scores of all waiting requests are one commit: durability costs a sync of the disk, not one a score."""
        batch = [self._read(request) for request in requests]
        self._write([score for read in batch if isinstance(read, list) for score in read])
        return [self._respond(read) for read in batch]

    def finalize(self) -> None:
        self._watcher.stop()
        self._implicit.close()
        self._store.close()

    def _apply(self, config: RouterConfig) -> None:
        self._rewards = {name: build_reward(policy.reward) for name, policy in config.named_policies().items()}
        self._implicit.signals = config.implicit

    def _read(self, request: Any) -> list[_Score] | _Refused:
        """The scores of a request (none for records, which are written here), or why it is refused as a whole."""
        try:
            return [score for row in tensors.rows(request) for score in self._row(row)]
        except (InvalidInput, ValueError) as error:
            return _Refused("INVALID_ARGUMENT", str(error))
        except StoreError as error:
            return _unavailable(error)

    def _row(self, row: dict[str, Any]) -> list[_Score]:
        if "records" in row:
            decisions, outcomes = decode_records(row["records"])
            if decisions or outcomes:
                self._store.append(decisions, outcomes)
            for outcome in outcomes:
                self._implicit.outcome(outcome)
            spent = {period: self._store.spend(period) for period in periods(time.time())}
            return [_Score(None, orjson.dumps(spent))]
        feedback = _feedback(row)
        check_feedback(feedback)
        return [_Score(feedback)]

    def _write(self, scores: list[_Score]) -> None:
        given = [score for score in scores if score.feedback is not None]
        if not given:
            return
        try:
            results = add_feedback_many_waiting(self._store, [score.feedback for score in given if score.feedback])
        except StoreError as error:
            refused = _unavailable(error)
            for score in given:
                score.outcome = refused
            return
        for score, result in zip(given, results, strict=True):
            if isinstance(result, UnknownDecision) and score.feedback is not None:
                said = f"no decision {score.feedback.decision_id!r}: never made, or past its retention"
                score.outcome = _Refused("NOT_FOUND", said)
            elif isinstance(result, FeedbackResult) and score.feedback is not None:
                score.outcome = self._count(score.feedback, result)

    def _respond(self, read: list[_Score] | _Refused) -> Any:
        scores = read if isinstance(read, list) else []
        refusals = (
            [read] if isinstance(read, _Refused) else [s.outcome for s in scores if isinstance(s.outcome, _Refused)]
        )
        if refusals:
            self._metrics.refused(refusals[0].code)
            return tensors.failure(str(refusals[0]), getattr(pb_utils.TritonError, _CODES[refusals[0].code]))
        return pb_utils.InferenceResponse(
            [
                tensors.numbers("accepted", [True] * len(scores), bool),
                tensors.numbers("reward", [score.outcome for score in scores], np.float32),
                tensors.text("spend", [score.spend for score in scores]),
            ]
        )

    def _count(self, feedback: Feedback, result: FeedbackResult) -> float:
        decision = result.decision
        # By the policy that chose, at the price of cost that it chose by: this process knows neither what has been spent
        # nor what was expected meanwhile.
        rule = self._rewards.get(decision.policy, self._rewards[""])
        reward = rule.realised(result.quality, result.cost, decision.expected_cost, decision.cost_weight)
        self._metrics.accepted(
            result.arm, decision.task or "none", decision.policy_version, result.quality, reward, result.duplicate
        )
        if feedback.task and decision.task and not result.duplicate:
            self._metrics.labelled(decision.task, feedback.task)
        return reward


def _unavailable(error: StoreError) -> _Refused:
    log.error("feedback can't be stored now: %s", error)
    return _Refused(
        "UNAVAILABLE", f"the state store can't take feedback now, send it again later: {error} (retry-after: 1)"
    )


def _feedback(row: dict[str, Any]) -> Feedback:
    if not row.get("decision_id") or "score" not in row:
        raise InvalidInput("decision_id and score are required (or records alone)")
    task = row.get("task", "")
    if task and task not in TASKS:
        raise InvalidInput(f"unknown task {task!r}; tasks are {', '.join(TASKS)}")
    return Feedback(
        decision_id=row["decision_id"],
        received=time.time(),
        score=float(row["score"]),
        cost=float(row["cost_usd"]) if "cost_usd" in row else None,
        task=task,
        tags=row.get("tags", ""),
    )
