"""The router model: classifier outputs and hints in, one decision for each row out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
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
