"""`feedback`: scores, and the records that gateways report. What it accepts is durable."""

from __future__ import annotations

import logging
import math
import time
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from router_backend.bandits.rewards import build_reward
from router_backend.config import RouterConfig
from router_backend.config.runtime import config_path, runtime_config, state_dir
from router_backend.config.watch import ConfigWatcher
from router_backend.contract import TASKS
from router_backend.state.codec import decode_records
from router_backend.state.inflight import add_feedback_waiting
from router_backend.state.open import open_store
from router_backend.state.records import Feedback, FeedbackResult
from router_backend.state.store import StoreError, UnknownDecision
from router_backend.triton.models import metrics, process, tensors
from router_backend.triton.models.tensors import InvalidInput

log = logging.getLogger(__name__)


# What stands in front of a message, and Triton's name of it.
_CODES = {"NOT_FOUND": "NOT_FOUND", "INVALID_ARGUMENT": "INVALID_ARG", "UNAVAILABLE": "UNAVAILABLE"}


class _Refused(Exception):
    """An answer that is an error; the code is what the gateway maps to an HTTP status."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        process.begin("feedback", guard=True)
        config = runtime_config()
        self._apply(config)
        self._store = open_store(config.state, state_dir(), config.retention_days)
        self._metrics = metrics.FeedbackMetrics()
        self._watcher = ConfigWatcher(config_path(), self._apply)
        self._watcher.start()

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self._answer(request) for request in requests]

    def finalize(self) -> None:
        self._watcher.stop()
        self._store.close()

    def _apply(self, config: RouterConfig) -> None:
        self._reward = build_reward(config.policy.reward)

    def _answer(self, request: Any) -> Any:
        try:
            rewards = [self._take(row) for row in tensors.rows(request)]
        except _Refused as refused:
            self._metrics.refused(refused.code)
            return tensors.failure(str(refused), getattr(pb_utils.TritonError, _CODES[refused.code]))
        return pb_utils.InferenceResponse(
            [
                tensors.numbers("accepted", [True] * len(rewards), bool),
                tensors.numbers("reward", rewards, np.float32),
            ]
        )

    def _take(self, row: dict[str, Any]) -> float:
        """The reward that was learned; NaN for records."""
        try:
            if "records" in row:
                self._store.append(*decode_records(row["records"]))
                return math.nan
            return self._score(row)
        except UnknownDecision as error:
            raise _Refused(
                "NOT_FOUND", f"no decision {row.get('decision_id', '')!r}: never made, or past retention"
            ) from error
        except (InvalidInput, ValueError) as error:
            raise _Refused("INVALID_ARGUMENT", str(error)) from error
        except StoreError as error:
            log.error("feedback can't be stored now: %s", error)
            raise _Refused(
                "UNAVAILABLE", f"the state store can't take feedback now, send it again later: {error}"
            ) from error

    def _score(self, row: dict[str, Any]) -> float:
        if not row.get("decision_id") or "score" not in row:
            raise InvalidInput("decision_id and score are required (or records alone)")
        task = row.get("task", "")
        if task and task not in TASKS:
            raise InvalidInput(f"unknown task {task!r}; tasks are {', '.join(TASKS)}")
        feedback = Feedback(
            decision_id=row["decision_id"],
            received=time.time(),
            score=float(row["score"]),
            cost=float(row["cost_usd"]) if "cost_usd" in row else None,
            task=task,
            tags=row.get("tags", ""),
        )
        result = add_feedback_waiting(self._store, feedback)
        return self._count(feedback, result)

    def _count(self, feedback: Feedback, result: FeedbackResult) -> float:
        decision = result.decision
        reward = self._reward.realised(result.quality, result.cost, decision.expected_cost)
        self._metrics.accepted(
            result.arm, decision.task or "none", decision.policy_version, result.quality, reward, result.duplicate
        )
        if feedback.task and decision.task and not result.duplicate:
            self._metrics.labelled(decision.task, feedback.task)
        return reward
