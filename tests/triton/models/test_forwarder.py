"""The two doors to an answer, `forwarder` and `llm_router_bls`: what they refuse, and what they ask `route`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.triton.conftest import InferenceResponse, Request, TritonError


class Answering:
    """Takes the place of the engine: remembers what it was asked to answer."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, dict[str, Any], bool]] = []

    def spawn(self, work: Any, sender: Any) -> None:
        asyncio.run(work)

    async def answer(self, decision: Any, body: dict[str, Any], sender: Any, trace: Any, cancellable: bool) -> None:
        self.asked.append((decision, body, cancellable))
        sender.send(flags=1)

    def close(self) -> None: ...


@pytest.fixture(params=["forwarder", "bls"])
def door(request: pytest.FixtureRequest, deployed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    import importlib

    module = importlib.import_module(f"router_backend.triton.models.{request.param}")
    monkeypatch.setattr(module, "Answering", Answering)
    model = module.TritonPythonModel()
    model.initialize({})
    yield model
    model.finalize()


DECISION = '{"decision_id": "1", "model": "llama3-8b", "reason": "policy:linucb"}'


class RouteCall:
    """A call of `route` by business logic scripting."""

    answer: InferenceResponse
    seen: dict[str, Any]

    def __init__(self, **fields: Any) -> None:
        type(self).seen = fields

    def exec(self) -> InferenceResponse:
        return self.answer


@pytest.fixture
def route(monkeypatch: pytest.MonkeyPatch) -> type[RouteCall]:
    module = sys.modules["triton_python_backend_utils"]
    monkeypatch.setattr(module, "InferenceRequest", RouteCall, raising=False)
    find = lambda response, name: next(t for t in response.tensors if t.name() == name)  # noqa: E731
    monkeypatch.setattr(module, "get_output_tensor_by_name", find, raising=False)
    RouteCall.answer = InferenceResponse()
    RouteCall.answer.tensors = Request(decision=[DECISION]).inputs()  # type: ignore[attr-defined]
    return RouteCall


def test_several_prompts_in_one_request_are_refused(door: Any, route: type[RouteCall]) -> None:
    """Answers of several lengths have no common shape."""
    request = Request(text_input=["one", "two"], decision=[DECISION, DECISION])
    door.execute([request])
    (response,) = request.sender.responses
    assert request.sender.final
    assert "send one prompt a request" in response.error().message()
    assert response.error().code() == "invalid"
    assert door._answering.asked == []


def test_a_wrong_request_does_not_stop_the_next(door: Any, route: type[RouteCall]) -> None:
    wrong = Request(messages=["nonsense"], decision=[DECISION])
    right = Request(text_input=["Hi"], decision=[DECISION])
    door.execute([wrong, right])
    assert wrong.sender.responses[0].has_error()
    ((decision, body, _),) = door._answering.asked
    assert decision.model == "llama3-8b"
    assert body["messages"] == [{"role": "user", "content": "Hi"}]


def test_a_refusal_of_route_is_passed_on(door: Any, route: type[RouteCall]) -> None:
    if "bls" not in type(door).__module__:
        pytest.skip("in the ensemble, Triton passes it on")
    route.answer = InferenceResponse(error=TritonError("no model can take it", TritonError.INVALID_ARG))
    request = Request(text_input=["Hi"])
    door.execute([request])
    (response,) = request.sender.responses
    assert request.sender.final
    assert (response.error().message(), response.error().code()) == ("no model can take it", "invalid")


def test_route_gets_the_inputs_that_it_has_and_the_parameters(door: Any, route: type[RouteCall]) -> None:
    if "bls" not in type(door).__module__:
        pytest.skip("in the ensemble, the configuration maps the inputs")
    door.execute([Request({"traceparent": "t"}, text_input=["Hi"], temperature=[0.5], policy=["task"])])
    assert {tensor.name() for tensor in route.seen["inputs"]} == {"text_input", "policy"}
    assert route.seen["parameters"] == {"traceparent": "t"}
    assert door._answering.asked[0][2]  # only a model that is called directly hears that its client left


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ({"max_cost": 0.01, "min_quality": 1}, {"max_cost": "0.01", "min_quality": "1"}),
        ({"max_cost": 1e-9}, {"max_cost": "1e-09"}),
        ({"max_cost": 10**15}, {"max_cost": str(10**15)}),
        ({"max_cost": True}, {"max_cost": "True"}),
    ],
)
def test_numbers_go_to_route_as_text(
    door: Any, route: type[RouteCall], given: dict[str, Any], passed: dict[str, str]
) -> None:
    """A request by business logic scripting takes no floats, and a failure to make one must not leave `execute`."""
    if "bls" not in type(door).__module__:
        pytest.skip("in the ensemble, Triton passes them on")
    door.execute([Request(given, text_input=["Hi"])])
    assert route.seen["parameters"] == passed


def test_an_exception_never_leaves_execute(door: Any, route: type[RouteCall], monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(*_: Any, **__: Any) -> None:
        raise SystemError("lost")

    monkeypatch.setattr(door._answering, "spawn", raising)
    request = Request(text_input=["Hi"], decision=[DECISION])
    door.execute([request])
    (response,) = request.sender.responses
    assert request.sender.final
    assert "SystemError" in response.error().message()
    assert response.error().code() == "internal"


@pytest.mark.parametrize("decision", ["", "{}", "[]", "nonsense", '{"model": 1, "else": 2}'])
def test_a_decision_that_is_none_is_refused(door: Any, route: type[RouteCall], decision: str) -> None:
    if "forwarder" not in type(door).__module__:
        pytest.skip("it asks route itself")
    request = Request(text_input=["Hi"], decision=[decision])
    door.execute([request])
    assert "input decision" in request.sender.responses[0].error().message()
