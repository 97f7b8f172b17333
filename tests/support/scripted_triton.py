"""A real server of KServe's protocol, over HTTP or gRPC, whose `router`, `decide` and `feedback` do what a test says.

It stands in where a test needs Triton to be slow, wrong or gone at a chosen moment; tests/system has the real one.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import grpc
import msgspec
import orjson
from aiohttp import web
from tritonclient.grpc import service_pb2, service_pb2_grpc

from router_backend.core.decision import RoutedDecision
from router_backend.core.ids import new_decision_id
from router_backend.core.pricing import TokenPrices
from router_backend.core.records import Bound, Outcome
from router_backend.core.tracing import PARENT, STATE
from router_backend.state import console, leases, rates, responses
from router_backend.state.spend import charges
from router_backend.state.store import Store
from tests.support.scripted_http import application


@dataclass
class Refusal(Exception):
    """Answered as Triton answers a model's error."""

    code: grpc.StatusCode
    details: str


@dataclass
class ScriptedTriton(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # untyped stubs
    """Counts and keeps what it was asked; `models` are ranked in order unless `decide` says otherwise."""

    models: list[str]
    over: Literal["http", "grpc"] = "http"
    served: tuple[str, ...] = ("router", "decide", "route", "feedback")
    classifies: bool = True  # `router` itself, so that it answers all questions
    task: str = "open_qa"
    delay: float = 0.0
    refuse: Refusal | None = None  # of every model
    refuse_feedback: Refusal | None = None  # as when the state store is down
    refuse_records: Refusal | None = None  # as when it has room for a score, and for no decision
    decide: Callable[[dict[str, Any]], RoutedDecision | bytes] | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)  # model of each call
    traces: list[dict[str, str]] = field(default_factory=list)  # of each call
    decisions: dict[str, dict[str, Any]] = field(default_factory=dict)  # that became durable
    outcomes: dict[str, dict[str, Any]] = field(default_factory=dict)
    scores: list[tuple[str, float]] = field(default_factory=list)
    signals: list[tuple[str, str, float]] = field(default_factory=list)  # (decision, implicit, score)
    signal_tags: list[str] = field(default_factory=list)
    report_delay: float = 0.0
    hold_stored: asyncio.Event | None = None  # stored responses wait for it
    hold_reports: asyncio.Event | None = None  # set: reports go on
    store: Store | None = None  # of stored responses and rates
    prices: dict[str, TokenPrices] = field(default_factory=dict)  # that routing is compared by
    changes: bytes = b'{"changes": {}, "agreements": {}}'  # the console's answer about them
    forgets: bool = False  # what was classified, as after a restart
    refuse_questions: Refusal | None = None  # as an older router does

    async def start(self, port: int = 0) -> None:
        if self.over == "http":
            self._runner = web.AppRunner(
                application(self._infer, Refusal), handler_cancellation=True, shutdown_timeout=0
            )
            await self._runner.setup()
            await web.TCPSite(self._runner, "127.0.0.1", port).start()
            self.port = self._runner.addresses[0][1]
            return
        self._server = grpc.aio.server()
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        await self._server.start()

    @property
    def url(self) -> str:
        return f"{self.over}://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        await (self._runner.cleanup() if self.over == "http" else self._server.stop(0))

    async def ModelInfer(self, request: Any, context: Any) -> service_pb2.ModelInferResponse:
        inputs = {
            tensor.name: (tensor.datatype, data)
            for tensor, data in zip(request.inputs, request.raw_input_contents, strict=True)
        }
        parameters = {key: _parameter(value) for key, value in request.parameters.items()}
        try:
            outputs = await self._infer(request.model_name, inputs, parameters | dict(context.invocation_metadata()))
        except Refusal as refusal:
            await context.abort(refusal.code, refusal.details)
        response = service_pb2.ModelInferResponse(model_name=request.model_name)
        for name, data in outputs.items():
            response.outputs.add(name=name, shape=[1, 1])
            response.raw_output_contents.append(data)
        return response

    async def _infer(
        self, model: str, inputs: dict[str, tuple[str, bytes]], parameters: dict[str, Any]
    ) -> dict[str, bytes]:
        self.traces.append({name: parameters[name] for name in (PARENT, STATE) if name in parameters})
        if self.refuse:
            raise self.refuse
        if model not in self.served:
            raise Refusal(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{model}' is not found")
        handler = {"feedback": self._feedback, "router": self._answer}.get(model, self._route)
        outputs = await handler({name: _value(*tensor) for name, tensor in inputs.items()} | parameters)
        self.answered.append(model)
        return outputs

    async def _route(self, inputs: dict[str, Any]) -> dict[str, bytes]:
        if inputs.get("dry_run"):  # of the gateway's readiness: neither counted nor kept
            await asyncio.sleep(self.delay)
            return {"decision": struct.pack("<I", 2) + b"{}"}
        for name in ("request", "candidates"):  # of a question they are read already
            if isinstance(inputs[name], str):
                inputs[name] = orjson.loads(inputs[name])
        self.asked.append(inputs)
        await asyncio.sleep(self.delay)
        made = self.decide(inputs) if self.decide else self.decision(inputs)
        data = made if isinstance(made, bytes) else made.to_json()
        if isinstance(made, RoutedDecision):
            self.decisions[made.decision_id] = {"model": made.model, "kind": "routed"}
        return {"decision": struct.pack("<I", len(data)) + data}

    async def _answer(self, inputs: dict[str, Any]) -> dict[str, bytes]:
        """As the router's answer to a question: empty if it doesn't classify, and no request of these messages was decided about."""
        if self.refuse_questions:
            raise self.refuse_questions
        question = orjson.loads(inputs.pop("question"))
        request = question.get("request")
        known = (
            not self.forgets and request and request["messages"] in [each["request"]["messages"] for each in self.asked]
        )
        if not self.classifies and not known:
            return {"decision": struct.pack("<I", 0)}
        return await self._route(inputs | question)

    def decision(self, inputs: dict[str, Any]) -> RoutedDecision:
        """The first healthy model that may be taken, with plausible numbers."""
        ranking = [model for model in self.models if model in inputs["candidates"]]
        return RoutedDecision(
            decision_id=new_decision_id(),
            model=ranking[0],
            reason="policy:linucb",
            task=self.task,
            task_probabilities=[1 / 12] * 12,
            complexity=0.25,
            ranking=ranking,
            scores=dict.fromkeys(ranking, 0.5),
            means=dict.fromkeys(ranking, 0.4),
            bonuses=dict.fromkeys(ranking, 0.1),
            expected_cost=dict.fromkeys(ranking, 0.001),
            propensity=0.9,
            policy="linucb",
            policy_version="v1",
        )

    async def _feedback(self, inputs: dict[str, Any]) -> dict[str, bytes]:
        if self.refuse_feedback:
            raise self.refuse_feedback
        if "responses" in inputs:
            assert self.store, "this test stores no responses"
            if self.hold_stored:
                await self.hold_stored.wait()
            told = responses.answer(self.store, responses.decode_asked(inputs["responses"]), Bound(1000, 1 << 28))
            return {"response": struct.pack("<I", len(told)) + told}
        if "console" in inputs:
            if not self.store:
                raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT: unknown input 'console'")
            asked = console.decode_question(inputs["console"])
            told = (
                self.changes if isinstance(asked, console.Changes) else console.answer(self.store, asked, self.prices)
            )
            return {"response": struct.pack("<I", len(told)) + told}
        if "rates" in inputs:
            if not self.store:
                raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT: unknown input 'rates'")
            asked = rates.decode_draw(inputs["rates"])
            levels = rates.encode(await asyncio.to_thread(self.store.draw, asked.gateway, asked.uses))
            return {"response": struct.pack("<I", len(levels)) + levels}
        if "leases" in inputs:
            if not self.store:
                raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT: unknown input 'leases'")
            told = await asyncio.to_thread(leases.answer, self.store, leases.decode(inputs["leases"]))
            return {"response": struct.pack("<I", len(told)) + told}
        if "records" in inputs:
            if self.refuse_records:
                raise self.refuse_records
            await asyncio.sleep(self.report_delay)
            if self.hold_reports:
                await self.hold_reports.wait()
            records = orjson.loads(inputs["records"])
            self.signals += [
                (record["decision_id"], record["implicit"], record["score"]) for record in records.get("scores", ())
            ]
            self.signal_tags += [record["tags"] for record in records.get("scores", ())]
            self.decisions |= {record["decision_id"]: record for record in records["decisions"]}
            self.outcomes = {record["decision_id"]: record for record in records["outcomes"]} | self.outcomes
            spend = orjson.dumps(self._spend())
            return {
                "accepted": b"\x01",
                "reward": struct.pack("<f", 0),
                "spend": struct.pack("<I", len(spend)) + spend,
            }
        if inputs["decision_id"] not in self.decisions:
            raise Refusal(grpc.StatusCode.INTERNAL, f"in ensemble: NOT_FOUND: no decision {inputs['decision_id']}")
        if inputs.get("task") == "other":
            raise Refusal(grpc.StatusCode.INTERNAL, "INVALID_ARGUMENT: task 'other' teaches nothing")
        self.scores.append((inputs["decision_id"], inputs["score"]))
        return {"accepted": b"\x01", "reward": struct.pack("<f", inputs["score"] - 0.125)}

    def _spend(self) -> dict[str, dict[str, float]]:
        spent: dict[str, dict[str, float]] = {}
        for record in self.outcomes.values():
            for period, key, usd in charges(msgspec.convert(record, Outcome)):
                spent.setdefault(period, {}).setdefault(key, 0.0)
                spent[period][key] += usd
        return spent


def _value(datatype: str, data: bytes) -> Any:
    return struct.unpack("<f", data)[0] if datatype == "FP32" else data[4:].decode()


def _parameter(value: Any) -> Any:
    return getattr(value, value.WhichOneof("parameter_choice"))
