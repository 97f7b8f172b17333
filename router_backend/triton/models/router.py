"""`router`: classifier outputs and hints, or a question about a prompt that was classified lately, to a decision."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from router_backend.classifier.artifact import newest_artifact
from router_backend.config.runtime import state_dir
from router_backend.contract import COMPLEXITY, EMBEDDING, EMBEDDING_SPACE, TASK_PROBABILITIES, TASKS, ContractError
from router_backend.core.decision import RoutedDecision
from router_backend.prompts import BadRequest
from router_backend.prompts.hints import QUESTION, RoutingHints
from router_backend.routing.recall import Recall
from router_backend.routing.router import Classified
from router_backend.state.hashing import Hasher
from router_backend.steps.deciding import Decider
from router_backend.steps.deployment import Deployment
from router_backend.steps.dialect import InvalidInput, question
from router_backend.steps.reading import HintReader
from router_backend.steps.refusal import Refused
from router_backend.triton.models import execution, process, tensors
from router_backend.triton.models.metrics import Page

_LOOK_SECONDS = 1.0
_LOADING_SECONDS = (
    30.0  # that a promoted version may take; beyond, what the one before says is forgotten a minute later
)

Row = tuple[Classified, RoutingHints]
"""What one decision is made of."""


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        process.begin("router")
        self._classifier = Path(args["model_repository"]).parent / "classifier"
        artifact, page = newest_artifact(self._classifier), Page()
        self._version, self._look_at = artifact.name, 0.0
        self._deployment = Deployment()
        self._decider = Decider(self._deployment, artifact, page)
        self._recall, self._reader = Recall(), HintReader(Hasher.of(state_dir()))
        self._deployment.watch(self._decider.reload)
        page.start()

    def execute(self, requests: list[Any]) -> list[Any]:
        return execution.each(requests, self._answer)

    def finalize(self) -> None:
        self._deployment.close(self._decider)

    def _answer(self, request: Any) -> Any:
        received = time.monotonic()
        arrays = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        try:
            if QUESTION in arrays:
                rows = self._recalled(arrays[QUESTION], request, received)
            else:
                rows = self._classified(arrays)
            decisions = self._decider.decide(rows, tensors.parameters(request))
        except (InvalidInput, BadRequest) as error:
            return tensors.failure(str(error))
        except Refused as refused:
            return tensors.refused(refused)
        if not decisions:
            return pb_utils.InferenceResponse([tensors.text("decision", [b""])])
        return pb_utils.InferenceResponse(_outputs(decisions, request.requested_output_names()))

    def _classified(self, arrays: dict[str, Any]) -> list[Row]:
        """A row for each of the classifier's outputs, which are kept for questions."""
        if missing := [name for name in _CLASSIFIED if name not in arrays]:
            raise InvalidInput(
                f"{', '.join(missing)} missing: send all of {', '.join(_CLASSIFIED)}, or {QUESTION} alone"
            )
        self._look_for_another_version()
        rows: list[Row] = []
        for at, text in enumerate(arrays["hints"].reshape(-1)):
            classified = Classified(
                arrays[TASK_PROBABILITIES][at],
                float(arrays[COMPLEXITY][at, 0]),
                arrays[EMBEDDING][at],
                int(arrays[EMBEDDING_SPACE][at, 0]),
            )
            hints = RoutingHints.from_json(text)
            if hints.prompt and not hints.degraded:
                self._recall.keep(hints.prompt, classified)
            rows.append((classified, hints))
        return rows

    def _recalled(self, questions: Any, request: Any, received: float) -> list[Row]:
        """A row for each question; none if a prompt was not classified lately."""
        self._look_for_another_version()
        tensors.check_parameters(request)
        parameters, rows = tensors.parameters(request), list[Row]()
        for asked in questions.reshape(-1):
            _, hints = self._reader.read(question(asked), parameters, received)
            classified = self._recall.find(hints.prompt)
            if classified is None:
                return []
            rows.append((classified, hints))
        return rows

    def _look_for_another_version(self) -> None:
        """Once a second: a version that was promoted is there before it is loaded."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_SECONDS
        try:
            version = newest_artifact(self._classifier).name
        except (ContractError, OSError):  # it is being replaced
            version = ""
        if version != self._version:
            self._version = version
            self._recall.begin_again(_LOADING_SECONDS)


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


_CLASSIFIED = (TASK_PROBABILITIES, COMPLEXITY, EMBEDDING, EMBEDDING_SPACE, "hints")
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
