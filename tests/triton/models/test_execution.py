"""Whatever goes wrong inside a model, its `execute` answers every request and raises nothing."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from router_backend.classifier.repository import MODEL_REPOSITORY
from router_backend.core.alive import ALIVE, STREAMED, question
from tests.triton.conftest import Request


@pytest.mark.parametrize("name", ["router", "tokenizer", "feedback"])
def test_each_request_gets_an_answer(name: str, deployed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(f"router_backend.triton.models.{name}")
    model = module.TritonPythonModel()
    model.initialize({"model_repository": str(MODEL_REPOSITORY / name)})

    def raising(*_: Any) -> None:
        raise SystemError("lost")

    monkeypatch.setattr(Request, "inputs", raising)
    responses = model.execute([Request(), Request({"traceparent": "x"})])
    if hasattr(model, "finalize"):
        model.finalize()
    assert [response.error().code() for response in responses] == ["internal", "internal"]
    assert all("SystemError" in response.error().message() for response in responses)


@pytest.mark.parametrize("name", ["tokenizer", "router", "feedback", "forwarder", "llm_router_bls"])
def test_a_model_that_is_asked_whether_it_answers_does_at_once_and_nothing_else(name: str, deployed: Path) -> None:
    module = importlib.import_module(f"router_backend.triton.models.{'bls' if name == 'llm_router_bls' else name}")
    model = module.TritonPythonModel()
    model.initialize({"model_repository": str(MODEL_REPOSITORY / name)})
    inputs = {tensor["name"]: tensor["data"] for tensor in question(name)}
    asked = Request({ALIVE: True}, **inputs)
    responses = model.execute([asked])
    if hasattr(model, "finalize"):
        model.finalize()
    if name in STREAMED:
        assert asked.sender.final
        responses = asked.sender.responses
    assert [response.has_error() for response in responses] == [False]
    assert responses[0].outputs == {}
