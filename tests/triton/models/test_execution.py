"""Whatever goes wrong inside a model, its `execute` answers every request and raises nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from router_backend.classifier.repository import MODEL_REPOSITORY
from tests.triton.conftest import Request


@pytest.mark.parametrize("name", ["router", "tokenizer", "feedback"])
def test_each_request_gets_an_answer(name: str, deployed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    module = importlib.import_module(f"router_backend.triton.models.{name}")
    model = module.TritonPythonModel()
    model.initialize({"model_repository": str(MODEL_REPOSITORY / name)})

    def raising(*_: Any) -> None:
        raise SystemError("lost")

    monkeypatch.setattr(Request, "inputs", raising)
    responses = model.execute([Request(), Request({"max_cost": 1.0})])
    if hasattr(model, "finalize"):
        model.finalize()
    assert [response.error().code() for response in responses] == ["internal", "internal"]
    assert all("SystemError" in response.error().message() for response in responses)
