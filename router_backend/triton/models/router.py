"""`router`: classifier outputs and hints, or a question that says everything, to a decision."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from router_backend.classifier.artifact import newest_artifact
from router_backend.classifier.instances import THREADS, threads
from router_backend.config.runtime import state_dir
from router_backend.contract import (
    COMPLEXITY,
    EMBEDDING,
    EMBEDDING_SPACE,
    TASK_PLACES,
    TASK_PROBABILITIES,
    ContractError,
)
from router_backend.core.decision import RoutedDecision
from router_backend.cores import usable_cores
from router_backend.prompts import BadRequest
from router_backend.prompts.hints import QUESTION, RoutingHints
from router_backend.routing.recall import Recall
from router_backend.routing.router import Classified
from router_backend.state.hashing import Hasher
from router_backend.steps.classifying import Row, TextClassifier, Unclassified
from router_backend.steps.deciding import Decider
from router_backend.steps.deployment import Deployment
from router_backend.steps.dialect import InvalidInput, check_known, question
from router_backend.steps.following import Following
from router_backend.steps.reading import HintReader
from router_backend.steps.refusal import Refused
from router_backend.triton.models import execution, process, tensors
from router_backend.triton.models.metrics import Page
from router_backend.triton.models.own_server import ADDRESS, serves

_LOOK_SECONDS = 1.0
_LOADING_SECONDS = (
    30.0  # that a promoted version may take; beyond, what the one before says is forgotten a minute later
)


@dataclass(slots=True)
class _Asked:
    """A request that was read."""

    outputs: Collection[str]
    parameters: dict[str, Any]
    rows: list[Row | Unclassified]


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        process.begin("router")
        self._versions = Path(args["model_repository"]).parent / "classifier"
        artifact, page = newest_artifact(self._versions), Page()
        self._version, self._look_at, self._loads = artifact.name, 0.0, 1
        self._deployment = Deployment()
        self._decider = Decider(self._deployment, artifact, page)
        self._recall, self._reader = Recall(), HintReader(Hasher.of(state_dir()))
        self._classifier: TextClassifier | None = None
        self._threads = _threads(args)
        if self._threads:
            self._classifier = TextClassifier(artifact, self._deployment.config.routing.classifier_cache_bytes)
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="classify")
            Following(lambda: self._versions, artifact, self._classifier, self._decider.expect, self._promoted).start()
        self._deployment.watch(self._decider.reload)
        page.start()

    def execute(self, requests: list[Any]) -> list[Any]:
        self._forget_another_classifier()
        read = execution.each(requests, self._read)
        self._classify([asked for asked in read if isinstance(asked, _Asked)])
        return [execution.one(asked, self._decided) if isinstance(asked, _Asked) else asked for asked in read]

    def finalize(self) -> None:
        if self._classifier is not None:
            self._pool.shutdown()
        self._deployment.close(self._decider)

    def _promoted(self, version: str) -> bool:
        """One that is written is not yet promoted: Triton may refuse it, or be told later."""
        address = os.environ.get(ADDRESS, "")
        return not address or serves(address, self._versions.name, version)

    def _read(self, request: Any) -> Any:
        """What is asked, or the response that it can't be read."""
        received = time.monotonic()
        arrays = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        parameters = tensors.parameters(request)
        try:
            if QUESTION in arrays:
                check_known(parameters)
                rows = [self._row(asked, parameters, received) for asked in arrays[QUESTION].reshape(-1)]
            else:
                rows = self._classified(arrays)
        except BadRequest as error:
            return tensors.failure(str(error))
        return _Asked(request.requested_output_names(), parameters, rows)

    def _row(self, asked: bytes, parameters: dict[str, Any], received: float) -> Row | Unclassified:
        text, hints = self._reader.read(question(asked), parameters, received)
        known = self._recall.find(hints.prompt)
        return (text, hints) if known is None else (known, hints)

    def _classified(self, arrays: dict[str, Any]) -> list[Row | Unclassified]:
        """A row for each of the classifier's outputs, which are kept for questions where nothing else answers them."""
        if missing := [name for name in _CLASSIFIED if name not in arrays]:
            raise InvalidInput(
                f"{', '.join(missing)} missing: send all of {', '.join(_CLASSIFIED)}, or {QUESTION} alone"
            )
        rows: list[Row | Unclassified] = []
        for at, text in enumerate(arrays["hints"].reshape(-1)):
            space = int(arrays[EMBEDDING_SPACE][at, 0])
            classified = Classified(
                arrays[TASK_PROBABILITIES][at],
                float(arrays[COMPLEXITY][at, 0]),
                arrays[EMBEDDING][at],
                space,
                self._decider.tasks_of(space),
            )
            hints = RoutingHints.from_json(text)
            if self._classifier is None:
                self._keep(classified, hints)
            rows.append((classified, hints))
        return rows

    def _classify(self, asked: list[_Asked]) -> None:
        """Classify what isn't yet, in this process: a share of the texts on each thread."""
        if self._classifier is None:
            return
        left = [
            (each.rows, at, (text, hints))
            for each in asked
            for at, (text, hints) in enumerate(each.rows)
            if isinstance(text, str)
        ]
        texts = [text for _, _, text in left]
        shares = [texts[at :: self._threads] for at in range(min(self._threads, len(texts)))]
        classify = self._classifier.classify_some
        found = [classify(*shares)] if len(shares) == 1 else list(self._pool.map(classify, shares))
        for at, (rows, place, _) in enumerate(left):
            rows[place] = row = found[at % self._threads][at // self._threads]
            self._keep(*row)

    def _decided(self, asked: _Asked) -> Any:
        rows = [row for row in asked.rows if not isinstance(row[0], str)]
        if len(rows) < len(asked.rows):
            return pb_utils.InferenceResponse([tensors.text("decision", [b""])])
        try:
            decisions = self._decider.decide(rows, asked.parameters)
        except Refused as refused:
            return tensors.refused(refused)
        return pb_utils.InferenceResponse(_outputs(decisions, asked.outputs))

    def _keep(self, classified: Classified, hints: RoutingHints) -> None:
        if hints.prompt and not hints.degraded:
            self._recall.keep(hints.prompt, classified)

    def _forget_another_classifier(self) -> None:
        """What one classifier says is never taken for what another one says."""
        if self._classifier is None:
            self._look_for_another_version()
        elif self._loads != self._classifier.loads:
            self._loads = self._classifier.loads
            self._recall.begin_again(0.0)

    def _look_for_another_version(self) -> None:
        """Once a second: a version that was promoted is there before it is loaded."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_SECONDS
        try:
            version = newest_artifact(self._versions).name
        except (ContractError, OSError):  # it is being replaced
            version = ""
        if version != self._version:
            self._version = version
            self._recall.begin_again(_LOADING_SECONDS)


def _threads(args: dict[str, str]) -> int:
    """On how many threads this process classifies; 0: it doesn't, as in a repository that says nothing of it."""
    parameters = json.loads(args.get("model_config", "{}")).get("parameters", {})
    return threads(parameters.get(THREADS, {}).get("string_value", "0"), usable_cores())


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
    rows = [_in_places(list(decision.by_task.values())) for decision in decisions]
    return tensors.numbers(name, rows, np.float32)


def _in_places(probabilities: list[float]) -> list[float]:
    """As the tensor has them: NaN where nothing was classified, 0 in the places that no task has."""
    return probabilities + [0.0 if probabilities else math.nan] * (TASK_PLACES - len(probabilities))


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
