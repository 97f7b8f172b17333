"""`router`: classifier outputs and hints to a decision."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from router_backend.classifier.artifact import artifact_metadata, newest_artifact
from router_backend.classifier.space_map import SPACE_MAP_FILE, SpaceMap
from router_backend.config import RouterConfig
from router_backend.config.agreement import CONFIGURATION, fingerprint
from router_backend.contract import COMPLEXITY, EMBEDDING, EMBEDDING_SPACE, TASK_PROBABILITIES, TASKS
from router_backend.core.decision import RoutedDecision
from router_backend.core.records import Decision
from router_backend.learning.learner import Learner
from router_backend.learning.recorder import Recorder
from router_backend.prompts.hints import RoutingHints
from router_backend.routing.candidates import NoCandidate
from router_backend.routing.router import Classified, Estimate, Router, UnknownPolicy
from router_backend.triton.models import execution, metrics, process, tensors
from router_backend.triton.models.deployment import Deployment

log = logging.getLogger(__name__)
_CATCH_UP_SECONDS = 20.0


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        process.begin("router")
        deployment = self._deployment = Deployment()
        artifact = newest_artifact(Path(args["model_repository"]).parent / "classifier")
        self._metrics = metrics.RouterMetrics()
        self._recorder = Recorder(deployment.store, on_drop=self._metrics.dropped, backlog=deployment.backlog)
        self._space = artifact_metadata(artifact).embedding_space
        self._learner = Learner(
            deployment.store,
            deployment.config,
            self._space,
            SpaceMap.load(artifact / SPACE_MAP_FILE) if (artifact / SPACE_MAP_FILE).is_file() else None,
            on_poll=self._polled,
        )
        self._learner.start()
        self._router = Router(self._learner, self._record)
        self._fingerprint = fingerprint(deployment.config)
        deployment.watch(self._reload)
        if not self._learner.wait_until_current(_CATCH_UP_SECONDS):
            log.warning("serving before the whole log of learning has been read")

    def execute(self, requests: list[Any]) -> list[Any]:
        return execution.each(requests, self._answer)

    def finalize(self) -> None:
        self._deployment.close(self._recorder, self._learner)

    def _record(self, decision: Decision, propensity: Estimate | None) -> None:
        self._recorder.decision(decision, propensity)
        self._deployment.implicit.decision(decision)
        if decision.shadows:
            self._metrics.shadowed(dict(decision.shadows))

    def _reload(self, config: RouterConfig) -> None:
        self._learner.reload(config)
        self._fingerprint = fingerprint(config)
        log.info("router.yaml was read again: models %s", ", ".join(config.names))

    def _polled(self, up: bool) -> None:
        """Called by the learner's thread."""
        self._metrics.store_answered(up)
        view = self._learner.view(self._space)
        self._metrics.changed(view.main.changes)
        self._metrics.agreed(view.agreements)

    def _answer(self, request: Any) -> Any:
        arrays = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        decisions, dry_run = [], False
        try:
            for row, hints in enumerate(arrays["hints"].reshape(-1)):
                classified = Classified(
                    arrays[TASK_PROBABILITIES][row],
                    float(arrays[COMPLEXITY][row, 0]),
                    arrays[EMBEDDING][row],
                    int(arrays[EMBEDDING_SPACE][row, 0]),
                )
                wishes = RoutingHints.from_json(hints)
                decisions.append(self._router.decide(classified, wishes))
                dry_run |= wishes.dry_run
        except (NoCandidate, UnknownPolicy) as error:
            asked = tensors.parameters(request).get(CONFIGURATION, self._fingerprint)
            if asked != self._fingerprint:  # for the gateway, which has read another file, the request may be right
                return tensors.failure(f"OTHER_CONFIGURATION: {error}", pb_utils.TritonError.UNAVAILABLE)
            return tensors.failure(str(error))
        for decision in () if dry_run else decisions:
            self._metrics.decided(decision)
        return pb_utils.InferenceResponse(_outputs(decisions, request.requested_output_names()))


def _outputs(decisions: list[RoutedDecision], asked: Collection[str]) -> list[Any]:
    """The tensors that are asked for: each one is a copy through shared memory, and a call into Triton."""
    return [_OUTPUTS[name](name, decisions) for name in _OUTPUTS if name in asked]


def _scores(name: str, decisions: list[RoutedDecision]) -> Any:
    rows = [list(decision.scores.values()) for decision in decisions]
    width = max(1, *(len(row) for row in rows))
    return tensors.numbers(name, [row + [math.nan] * (width - len(row)) for row in rows], np.float32)


def _text(name: str, decisions: list[RoutedDecision]) -> Any:
    return tensors.text(name, [getattr(decision, name) for decision in decisions])


def _task_probabilities(name: str, decisions: list[RoutedDecision]) -> Any:
    rows = [decision.task_probabilities or [math.nan] * len(TASKS) for decision in decisions]
    return tensors.numbers(name, rows, np.float32)


def _complexity(name: str, decisions: list[RoutedDecision]) -> Any:
    return tensors.numbers(name, [decision.complexity for decision in decisions], np.float32)


def _propensity(name: str, decisions: list[RoutedDecision]) -> Any:
    return tensors.numbers(name, [math.nan if d.propensity is None else d.propensity for d in decisions], np.float32)


def _decision(name: str, decisions: list[RoutedDecision]) -> Any:
    return tensors.text(name, [decision.to_json() for decision in decisions])


_OUTPUTS: dict[str, Callable[[str, list[RoutedDecision]], Any]] = {
    "model": _text,
    "task": _text,
    "task_probabilities": _task_probabilities,
    "complexity": _complexity,
    "scores": _scores,
    "propensity": _propensity,
    "decision_id": _text,
    "reason": _text,
    "policy_version": _text,
    "decision": _decision,
}
