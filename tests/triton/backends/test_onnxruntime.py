"""The onnxruntime backend of the embedded server, with the packaged classifier."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import numpy as np
import pytest

from router_backend.classifier.artifact import newest_artifact
from router_backend.classifier.repository import MODEL_REPOSITORY
from router_backend.contract import EMBEDDING_DIM, TASKS
from router_backend.triton.server.embedded import _BACKENDS
from tests.triton.conftest import Request

OUTPUTS = ("task_probabilities", "complexity", "embedding", "embedding_space")


@pytest.fixture
def backend() -> Any:
    spec = importlib.util.spec_from_file_location("onnxruntime_backend", _BACKENDS / "onnxruntime/model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = {
        "input": [{"name": "input_ids"}, {"name": "attention_mask"}],
        "output": [{"name": name} for name in OUTPUTS],
    }
    model = module.TritonPythonModel()
    version = newest_artifact(MODEL_REPOSITORY / "classifier").name
    folder = str(MODEL_REPOSITORY / "classifier")
    model.initialize({"model_config": json.dumps(config), "model_repository": folder, "model_version": version})
    return model


def ids(*first: int, width: int = 8) -> Request:
    values = np.array([[number, *range(5, 4 + width)] for number in first], np.int64)
    return Request(input_ids=values, attention_mask=np.ones_like(values))


def test_requests_that_wait_together_get_their_own_rows(backend: Any) -> None:
    first, second = backend.execute([ids(10), ids(20, 30)])
    (whole,) = backend.execute([ids(10, 20, 30)])
    assert first.outputs["task_probabilities"].shape == (1, len(TASKS))
    assert second.outputs["embedding"].shape == (2, EMBEDDING_DIM)
    for name in OUTPUTS:
        np.testing.assert_array_equal(np.concatenate([first.outputs[name], second.outputs[name]]), whole.outputs[name])


def test_a_batch_that_fails_is_an_error_for_each_request(backend: Any) -> None:
    """An exception would take the instance down."""
    responses = backend.execute([ids(10, width=8), ids(20, width=16)])
    assert [response.error().message().startswith("onnxruntime: ") for response in responses] == [True, True]
