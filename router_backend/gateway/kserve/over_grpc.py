"""gRPC (ModelInfer). Messages are built on the protocol's stubs: tritonclient's InferInput would take each string
through a numpy array.
"""

from __future__ import annotations

from functools import cached_property

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from router_backend.core.channels import CHANNEL_OPTIONS
from router_backend.gateway.kserve.inference import Inference, Outputs, TritonError

_CHANNEL = (
    # Behind a name with several addresses (a headless Service) every replica gets its share of the calls.
    ("grpc.lb_policy_name", "round_robin"),
    *CHANNEL_OPTIONS,
    ("grpc.enable_http_proxy", 0),  # a part of ours: gRPC would take the environment's proxy, loopback or not
    ("grpc.min_reconnect_backoff_ms", 100),  # also the least time that a connection gets: Triton is near
)
_CAUSES = {
    grpc.StatusCode.DEADLINE_EXCEEDED: "timeout",
    grpc.StatusCode.UNAVAILABLE: "unavailable",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "overloaded",
}


class GrpcWire:
    """One channel."""

    def __init__(self, url: str) -> None:
        """`url`: `host:port`."""
        self._url = url

    @cached_property
    def _channel(self) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(self._url, options=_CHANNEL)

    @cached_property
    def _stub(self) -> service_pb2_grpc.GRPCInferenceServiceStub:
        return service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    async def infer(self, inference: Inference, seconds: float) -> Outputs:
        metadata = tuple(inference.trace.items())
        try:
            response = await self._stub.ModelInfer(to_message(inference), timeout=seconds, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            cause, missing = _CAUSES.get(error.code(), "error"), error.code() is grpc.StatusCode.NOT_FOUND
            raise TritonError.told(cause, error.details() or "", not_found=missing) from None
        return {
            tensor.name: bytes(data)
            for tensor, data in zip(response.outputs, response.raw_output_contents, strict=False)
        }

    async def aclose(self) -> None:
        await self._channel.close()


def to_message(inference: Inference) -> service_pb2.ModelInferRequest:
    """The protocol's message, without the trace, which is metadata."""
    request = service_pb2.ModelInferRequest(model_name=inference.model)
    for name in inference.outputs:
        request.outputs.add(name=name)
    for tensor in inference.inputs:
        request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=[1, 1])
        request.raw_input_contents.append(tensor.data)
    for name, value in inference.parameters.items():
        parameter = request.parameters[name]
        if isinstance(value, str):
            parameter.string_param = value
        elif isinstance(value, bool):
            parameter.bool_param = value
        else:
            parameter.double_param = value
    return request
