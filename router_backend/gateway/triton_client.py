"""Client of Triton's `decide` and `feedback` models over gRPC (KServe v2, ModelInfer).

Messages are built on the protocol's stubs: tritonclient's InferInput would take each string through a numpy array.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import grpc
import orjson
from tritonclient.grpc import service_pb2, service_pb2_grpc

from router_backend.core import seal
from router_backend.core.channels import CHANNEL_OPTIONS
from router_backend.core.decision import RoutedDecision
from router_backend.core.records import Decision, Feedback, Outcome
from router_backend.core.tracing import TraceContext
from router_backend.state.codec import encode_records
from router_backend.state.spend import Spend

_CODES = re.compile(r"\b(NOT_FOUND|INVALID_ARGUMENT|UNAVAILABLE|OTHER_CONFIGURATION): (.*)", re.DOTALL)
_CHANNEL = (
    # Behind a name with several addresses (a headless Service) every replica gets its share of the calls.
    ("grpc.lb_policy_name", "round_robin"),
    *CHANNEL_OPTIONS,
    ("grpc.enable_http_proxy", 0),  # a part of ours: gRPC would take the environment's proxy, loopback or not
    ("grpc.min_reconnect_backoff_ms", 100),  # also the least time that a connection gets: Triton is near
)
_DECIDE = "decide"  # `route` with one output
_NOT_SERVED = "NOT_SERVED"  # Triton's own word, no model's
_REHEARSAL = "Are you there?"
_UNTRACED: TraceContext = {}
_CAUSES = {
    grpc.StatusCode.DEADLINE_EXCEEDED: "timeout",
    grpc.StatusCode.UNAVAILABLE: "unavailable",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "overloaded",
}


class TritonError(RuntimeError):
    """A call failed. `cause` is for x-router-reason; `code` is the model's own, if it gave one."""

    def __init__(self, cause: str, code: str = "", message: str = "") -> None:
        super().__init__(message or cause)
        self.cause, self.code, self.message = cause, code, message


class Owner(NamedTuple):
    """Whose feedback it is."""

    key: str  # name of the API key; empty: there are none
    everyone: bool = False  # it may score for others


class TritonClient:
    """One channel to one Triton, opened at the first call, on the running event loop."""

    def __init__(self, url: str, key: str = "") -> None:
        """`key`: by which Triton knows that records are a gateway's; empty: it asks for none."""
        self._url, self._key = url, key

    @cached_property
    def _channel(self) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(self._url, options=_CHANNEL)

    @cached_property
    def _stub(self) -> service_pb2_grpc.GRPCInferenceServiceStub:
        return service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    async def route(
        self, inputs: Mapping[str, bytes], parameters: Mapping[str, float | str], seconds: float, trace: TraceContext
    ) -> RoutedDecision:
        """The decision for `inputs` (STRING tensors of `decide` by name), asked in a caller's trace.

        Raises:
            TritonError: no decision within `seconds`.
        """
        request = service_pb2.ModelInferRequest(model_name=_DECIDE)
        request.outputs.add(name="decision")
        for name, value in inputs.items():
            _add(request, name, "BYTES", struct.pack("<I", len(value)) + value)
        for name, parameter in parameters.items():
            if isinstance(parameter, str):
                request.parameters[name].string_param = parameter
            else:
                request.parameters[name].double_param = parameter
        response = await self._decide(request, seconds, trace)
        try:
            return RoutedDecision.from_json(_output(response, "decision")[4:])
        except (LookupError, TypeError, ValueError) as error:
            raise TritonError("error", message=f"Triton answered without a usable decision ({error})") from error

    async def feedback(
        self, decision_id: str, score: float, cost: float | None, task: str, tags: str, owner: Owner, seconds: float
    ) -> float:
        """Give a score; returns the reward that was learned, and it is durable then."""
        request = service_pb2.ModelInferRequest(model_name="feedback")
        if self._key:
            everyone = "1" if owner.everyone else ""
            for name, value in {
                seal.OWNER: owner.key,
                seal.ANY_OWNER: everyone,
                seal.SEAL: seal.seal(self._key, decision_id, owner.key, everyone),
            }.items():
                request.parameters[name].string_param = value
        _add(request, "decision_id", "BYTES", _text(decision_id))
        _add(request, "score", "FP32", struct.pack("<f", score))
        if cost is not None:
            _add(request, "cost_usd", "FP32", struct.pack("<f", cost))
        if task:
            _add(request, "task", "BYTES", _text(task))
        if tags:
            _add(request, "tags", "BYTES", _text(tags))
        response = await self._infer(request, seconds)
        reward = _output(response, "reward")
        if len(reward) != 4:
            raise TritonError("error", message="feedback answered without a usable reward")
        return float(struct.unpack("<f", reward)[0])

    async def report(self, decisions: Sequence[Decision], outcomes: Sequence[Outcome], seconds: float) -> Spend:
        """Write decisions and outcomes; they are durable when this returns. What keys have spent then, if Triton says it.

        Raises:
            TritonError: they are not durable, as far as is known.
            ValueError: a record can't be written down.
        """
        response = await self._records(encode_records(decisions, outcomes), seconds)
        if not any(tensor.name == "spend" for tensor in response.outputs):
            return {}
        try:
            spend: Spend = orjson.loads(_output(response, "spend")[4:])
        except ValueError as error:
            raise TritonError("error", message=f"feedback answered with a spend that is not JSON ({error})") from error
        return spend

    async def report_scores(self, scores: Sequence[Feedback], seconds: float) -> None:
        """Pass on implicit scores. They are on their way when this returns, and not yet durable.

        Raises:
            TritonError: they were not taken.
        """
        await self._records(encode_records(scores=scores), seconds)

    async def _records(self, records: bytes, seconds: float) -> service_pb2.ModelInferResponse:
        request = service_pb2.ModelInferRequest(model_name="feedback")
        _add(request, "records", "BYTES", struct.pack("<I", len(records)) + records)
        if self._key:
            request.parameters[seal.SEAL].string_param = seal.seal(self._key, records)
        response = await self._infer(request, seconds)
        if _output(response, "accepted") != b"\x01":
            raise TritonError("error", message="feedback did not accept the records")
        return response

    async def decides(self, seconds: float = 1.0) -> bool:
        """Whether a decision comes within `seconds`: asked for through the whole chain, and not recorded.

        A model that is loaded may still be cold, or frozen: its first answer is the proof, and warms it.
        """
        request = service_pb2.ModelInferRequest(model_name=_DECIDE)
        request.outputs.add(name="decision")
        _add(request, "text_input", "BYTES", _text(_REHEARSAL))
        request.parameters["dry_run"].bool_param = True
        try:
            await self._decide(request, seconds)
        except TritonError:
            return False
        return True

    async def aclose(self) -> None:
        await self._channel.close()

    async def _decide(
        self, request: service_pb2.ModelInferRequest, seconds: float, trace: TraceContext = _UNTRACED
    ) -> service_pb2.ModelInferResponse:
        try:
            return await self._infer(request, seconds, trace)
        except TritonError as error:
            if error.code != _NOT_SERVED:
                raise
            # An older Triton, or a repository of somebody's own: `route` gives the same and more.
            request.model_name = "route"
            return await self._infer(request, seconds, trace)

    async def _infer(
        self, request: service_pb2.ModelInferRequest, seconds: float, trace: TraceContext = _UNTRACED
    ) -> service_pb2.ModelInferResponse:
        try:
            return await self._stub.ModelInfer(request, timeout=seconds, metadata=tuple(trace.items()))
        except grpc.aio.AioRpcError as error:
            match = _CODES.search(error.details() or "")
            code, message = match.groups() if match else ("", "")
            cause = "configuration" if code == "OTHER_CONFIGURATION" else _CAUSES.get(error.code(), "error")
            if error.code() is grpc.StatusCode.NOT_FOUND and not code:
                code = _NOT_SERVED
            raise TritonError(cause, code, message.strip()) from None


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<I", len(data)) + data


def _add(request: service_pb2.ModelInferRequest, name: str, datatype: str, data: bytes) -> None:
    request.inputs.add(name=name, datatype=datatype, shape=[1, 1])
    request.raw_input_contents.append(data)


def _output(response: service_pb2.ModelInferResponse, name: str) -> bytes:
    for tensor, data in zip(response.outputs, response.raw_output_contents, strict=False):
        if tensor.name == name:
            return bytes(data)
    raise TritonError("error", message=f"{response.model_name} answered without {name!r}")
