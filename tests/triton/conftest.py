"""Triton's own Python module, which only its model processes have, as plain objects: what a model is given and gives."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import orjson
import pytest

from router_backend.config import runtime
from tests.support.configs import local_config


class Tensor:
    def __init__(self, name: str, array: Any) -> None:
        self._name, self._array = name, array

    def name(self) -> str:
        return self._name

    def as_numpy(self) -> Any:
        return self._array


class TritonError(Exception):
    INVALID_ARG, NOT_FOUND, UNAVAILABLE, INTERNAL, CANCELLED = "invalid", "not found", "unavailable", "internal", "gone"

    def __init__(self, message: str, code: str = INTERNAL) -> None:
        super().__init__(message)
        self._message, self._code = message, code

    def message(self) -> str:
        return self._message

    def code(self) -> str:
        return self._code


class InferenceResponse:
    def __init__(self, output_tensors: Any = (), error: TritonError | None = None) -> None:
        self.outputs = {tensor.name(): tensor.as_numpy() for tensor in output_tensors}
        self._error = error

    def has_error(self) -> bool:
        return self._error is not None

    def error(self) -> TritonError | None:
        return self._error

    def values(self, name: str) -> list[Any]:
        """One column, strings decoded."""
        return [item.decode() if isinstance(item, bytes) else item for item in self.outputs[name].reshape(-1).tolist()]


Seen = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Metric:
    def __init__(self, seen: Seen, name: str, labels: dict[str, str]) -> None:
        self._seen, self._key = seen, (name, tuple(sorted(labels.items())))

    def increment(self, value: float) -> None:
        self._seen[self._key] = self._seen.get(self._key, 0) + value

    def set(self, value: float) -> None:
        self._seen[self._key] = value


class MetricFamily:
    """`seen` is a dictionary for each test: models of earlier tests have threads that go on flushing."""

    COUNTER, GAUGE = "counter", "gauge"
    seen: ClassVar[Seen]

    def __init__(self, name: str, description: str, kind: str) -> None:
        self._name = name

    def Metric(self, labels: dict[str, str]) -> Metric:
        return Metric(self.seen, self._name, labels)


@dataclass
class Sender:
    """The response stream of a decoupled model."""

    responses: list[InferenceResponse] = field(default_factory=list)
    final: bool = False
    last: InferenceResponse | None = None  # what came with the end
    cancelled: bool = False

    def send(self, response: InferenceResponse | None = None, flags: int = 0) -> None:
        assert not self.final, "nothing may follow the final response"
        if response is not None:
            self.responses.append(response)
        if flags:
            self.final, self.last = True, response

    def is_cancelled(self) -> bool:
        return self.cancelled


class Request:
    """A request whose inputs are columns: strings become bytes, as Triton passes them."""

    def __init__(self, parameters: Mapping[str, Any] | None = None, **columns: Any) -> None:
        self._parameters = parameters
        self._inputs = [Tensor(name, _array(values)) for name, values in columns.items()]
        self.sender = Sender()
        self.asked: list[str] = []  # names of outputs

    def inputs(self) -> list[Tensor]:
        return self._inputs

    def requested_output_names(self) -> list[str]:
        return self.asked

    def parameters(self) -> str:
        return orjson.dumps(self._parameters).decode() if self._parameters else ""

    def get_response_sender(self) -> Sender:
        return self.sender


def _array(values: Any) -> Any:
    if isinstance(values, np.ndarray):
        return values
    rows = [[value.encode() if isinstance(value, str) else value] for value in values]
    kind: Any = object if isinstance(rows[0][0], bytes) else np.float32 if isinstance(rows[0][0], float) else None
    return np.array(rows, kind)


@pytest.fixture(autouse=True)
def backend_utils(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The module in place, and models imported against it alone."""
    module = ModuleType("triton_python_backend_utils")
    for kind in (Tensor, TritonError, InferenceResponse):
        setattr(module, kind.__name__, kind)
    module.MetricFamily = type("MetricFamily", (MetricFamily,), {"seen": {}})  # type: ignore[attr-defined]
    module.TRITONSERVER_RESPONSE_COMPLETE_FINAL = 1  # type: ignore[attr-defined]
    module.get_input_tensor_by_name = lambda request, name: next(  # type: ignore[attr-defined]
        (tensor for tensor in request.inputs() if tensor.name() == name), None
    )
    monkeypatch.setitem(sys.modules, module.__name__, module)
    yield
    for name in [name for name in sys.modules if name.startswith("router_backend.triton.models.")]:
        package, _, module_name = name.rpartition(".")
        vars(sys.modules[package]).pop(module_name, None)
        del sys.modules[name]


@pytest.fixture
def deployed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a router.yaml and the state, which the environment names; the processes' guards stay off."""
    monkeypatch.setenv(runtime.CONFIG, str(local_config(tmp_path)))
    monkeypatch.setenv(runtime.STATE_DIR, str(tmp_path))
    monkeypatch.setenv(runtime.LOCAL_URL, "http://127.0.0.1:9/v1")
    monkeypatch.setattr("router_backend.triton.models.process.begin", lambda *_, **__: None)
    return tmp_path


@pytest.fixture
def seen(backend_utils: None) -> Seen:
    """What Triton's page would show."""
    page: Seen = sys.modules["triton_python_backend_utils"].MetricFamily.seen
    return page
