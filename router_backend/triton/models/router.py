"""`router`: classifier outputs and hints to a decision."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from router_backend.classifier.artifact import newest_artifact
from router_backend.contract import COMPLEXITY, EMBEDDING, EMBEDDING_SPACE, TASK_PROBABILITIES, TASKS
from router_backend.core.decision import RoutedDecision
from router_backend.prompts.hints import RoutingHints
from router_backend.routing.router import Classified
from router_backend.steps.deciding import Decider
from router_backend.steps.deployment import Deployment
from router_backend.steps.refusal import Refused
from router_backend.triton.models import execution, process, tensors
from router_backend.triton.models.metrics import Page


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        process.begin("router")
        artifact, page = newest_artifact(Path(args["model_repository"]).parent / "classifier"), Page()
        self._deployment = Deployment()
        self._decider = Decider(self._deployment, artifact, page)
        self._deployment.watch(self._decider.reload)
        page.start()

    def execute(self, requests: list[Any]) -> list[Any]:
        return execution.each(requests, self._answer)

    def finalize(self) -> None:
        self._deployment.close(self._decider)

    def _answer(self, request: Any) -> Any:
        arrays = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        rows = [
            (
                Classified(
                    arrays[TASK_PROBABILITIES][row],
                    float(arrays[COMPLEXITY][row, 0]),
                    arrays[EMBEDDING][row],
                    int(arrays[EMBEDDING_SPACE][row, 0]),
                ),
                RoutingHints.from_json(hints),
            )
            for row, hints in enumerate(arrays["hints"].reshape(-1))
        ]
        try:
            decisions = self._decider.decide(rows, tensors.parameters(request))
        except Refused as refused:
            return tensors.refused(refused)
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
