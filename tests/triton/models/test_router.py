"""The router model: classifier outputs and hints in, one decision for each row out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from router_backend.classifier.artifact import artifact_metadata, newest_artifact
from router_backend.classifier.repository import MODEL_REPOSITORY
from router_backend.config import runtime
from router_backend.config.agreement import CONFIGURATION
from router_backend.contract import EMBEDDING_DIM, TASKS
from router_backend.core.decision import RoutedDecision
from router_backend.prompts.hints import RoutingHints
from tests.triton.conftest import Request

OUTPUTS = re.findall(r'name: "(\w+)"', (MODEL_REPOSITORY / "router/config.pbtxt").read_text().partition("\noutput ")[2])
SPACE = artifact_metadata(newest_artifact(MODEL_REPOSITORY / "classifier")).embedding_space


@pytest.fixture
def router(deployed: Path) -> Iterator[Any]:
    from router_backend.triton.models.router import TritonPythonModel

    model = TritonPythonModel()
    model.initialize({"model_repository": str(MODEL_REPOSITORY / "router")})
    yield model
    model.finalize()


def classified(
    *hints: RoutingHints, parameters: dict[str, Any] | None = None, asked: Sequence[str] = OUTPUTS
) -> Request:
    """Outputs of the classifier, sure of math, for each row of hints."""
    probabilities = np.full((len(hints), len(TASKS)), 0.001, np.float32)
    probabilities[:, TASKS.index("math")] = 0.989
    request = Request(
        parameters,
        task_probabilities=probabilities,
        complexity=np.full((len(hints), 1), 0.5, np.float32),
        embedding=np.zeros((len(hints), EMBEDDING_DIM), np.float32),
        embedding_space=np.full((len(hints), 1), SPACE, np.int64),
        hints=[hint.to_json() for hint in hints],
    )
    request.asked = list(asked)
    return request


def test_each_row_has_a_decision_of_its_own(router: Any) -> None:
    (response,) = router.execute([classified(RoutingHints(), RoutingHints(candidates=["llama3-8b"]))])
    names = runtime.runtime_config().names
    first, second = response.values("model")
    assert first in names
    assert second == "llama3-8b"
    assert response.outputs["task_probabilities"].shape == (2, len(TASKS))
    assert response.outputs["scores"].shape == (2, len(names))
    assert np.isnan(response.outputs["scores"][1]).sum() == len(names) - 1  # rows of one length, the rest empty
    assert len(set(response.values("decision_id"))) == 2
    decision = RoutedDecision.from_json(response.values("decision")[0])
    assert (decision.model, decision.task) == (first, "math")


def test_a_degraded_prompt_has_no_probabilities(router: Any) -> None:
    (response,) = router.execute([classified(RoutingHints(degraded="tokenizer"))])
    assert np.isnan(response.outputs["task_probabilities"]).all()
    assert response.outputs["task_probabilities"].shape == (1, len(TASKS))
    assert response.values("model") == [runtime.runtime_config().default_model]


@pytest.mark.parametrize("hints", [RoutingHints(policy="nobody"), RoutingHints(candidates=["nobody"])])
def test_what_is_not_configured_is_the_callers_mistake(router: Any, hints: RoutingHints) -> None:
    (response,) = router.execute([classified(hints)])
    assert response.error().code() == "invalid"
    assert "nobody" in response.error().message()


def test_a_gateway_with_another_configuration_may_be_right(router: Any) -> None:
    """It has read a changed router.yaml before this process: it tries again, instead of refusing the client."""
    request = classified(RoutingHints(policy="nobody"), parameters={CONFIGURATION: "of another file"})
    (response,) = router.execute([request])
    assert response.error().message().startswith("OTHER_CONFIGURATION: ")
    assert response.error().code() == "unavailable"


def test_a_decision_is_in_the_store_when_the_model_has_ended(deployed: Path) -> None:
    from router_backend.steps.deployment import Deployment
    from router_backend.triton.models.router import TritonPythonModel

    model = TritonPythonModel()
    model.initialize({"model_repository": str(MODEL_REPOSITORY / "router")})
    (response,) = model.execute([classified(RoutingHints())])
    model.finalize()
    opened = Deployment()
    try:
        kept = opened.store.decision(response.values("decision_id")[0])
        assert kept is not None
        assert orjson.loads(response.values("decision")[0])["model"] == kept.model
    finally:
        opened.close()


def test_every_output_can_be_asked_for_and_only_what_is_asked_for_is_written(router: Any) -> None:
    (whole,) = router.execute([classified(RoutingHints())])
    assert list(whole.outputs) == OUTPUTS
    (one,) = router.execute([classified(RoutingHints(), asked=["decision"])])
    assert list(one.outputs) == ["decision"]


def question(text: str = "What is 2 + 2?", parameters: dict[str, Any] | None = None, **inputs: Any) -> Request:
    """A gateway's, of a chat request."""
    request = {"model": "auto", "messages": [{"role": "user", "content": text}]}
    row = {"request": orjson.dumps(request).decode(), **inputs}
    asked = Request(parameters, question=[orjson.dumps(row).decode()])
    asked.asked = ["decision"]
    return asked


@pytest.fixture
def hints_of(deployed: Path) -> Any:
    """The hints that `tokenizer` gives for a text."""
    from router_backend.triton.models.tokenizer import TritonPythonModel

    model = TritonPythonModel()
    model.initialize({"model_repository": str(MODEL_REPOSITORY / "tokenizer")})

    def read(text: str) -> RoutingHints:
        (response,) = model.execute([Request(text_input=[text])])
        return RoutingHints.from_json(response.values("hints")[0])

    return read


def test_a_question_about_a_prompt_that_was_classified_is_answered(router: Any, hints_of: Any) -> None:
    router.execute([classified(hints_of("What is 2 + 2?"))])
    (response,) = router.execute([question(candidates='["llama3-8b"]')])
    decision = RoutedDecision.from_json(response.values("decision")[0])
    assert (decision.model, decision.task, decision.complexity) == ("llama3-8b", "math", 0.5)
    (again,) = router.execute([question()])
    assert RoutedDecision.from_json(again.values("decision")[0]).decision_id != decision.decision_id


def test_a_question_about_any_other_prompt_is_answered_by_nothing(router: Any, hints_of: Any) -> None:
    router.execute([classified(hints_of("What is 2 + 2?"))])
    (response,) = router.execute([question("What is 2 + 3?")])
    assert response.values("decision") == [""]


def test_a_promoted_classifier_answers_from_its_first_prompt_on(
    router: Any, hints_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    router.execute([classified(hints_of("What is 2 + 2?"))])
    monkeypatch.setattr(f"{type(router).__module__}.newest_artifact", lambda folder: folder / "9")
    router._look_at = 0.0
    for _ in range(2):  # while it is loaded the one before answers
        (response,) = router.execute([question()])
        assert response.values("decision") == [""]
        router.execute([classified(hints_of("What is 2 + 2?"))])


def test_a_degraded_prompt_was_not_classified(router: Any, hints_of: Any) -> None:
    router.execute([classified(replace(hints_of("What is 2 + 2?"), degraded="tokenizer"))])
    (response,) = router.execute([question()])
    assert response.values("decision") == [""]


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        (question(policy="nobody"), "nobody"),
        (question(candidates='["nobody"]'), "nobody"),
        (question(candidates="{"), "candidates"),
        (question(parameters={"max_cost": -1}), "max_cost"),
        (question(parameters={"nothing": 1}), "nothing"),
        (Request(question=["[]"]), "question"),
        (Request(question=['{"request": 3}']), "question"),
        (Request(question=["{}"]), "no prompt"),
        (Request(hints=["{}"]), "task_probabilities"),
        (Request(), "question"),
    ],
)
def test_a_question_that_can_t_be_read_is_the_callers_mistake(
    router: Any, hints_of: Any, asked: Request, what: str
) -> None:
    router.execute([classified(hints_of("What is 2 + 2?"))])
    (response,) = router.execute([asked])
    assert response.error().code() == "invalid"
    assert what in response.error().message()
