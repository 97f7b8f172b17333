"""Triton's gRPC messages (KServe v2, ModelInfer) from and to mappings of names to values; a row each, shape [1, 1]."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import grpc
from tritonclient.grpc import service_pb2

from llm_router_client.errors import ConnectionFailedError, RequestTimeoutError, RouterError, from_triton
from llm_router_client.transport import Server
from llm_router_client.triton import PARAMETERS

CHANNEL_OPTIONS = (
    # gRPC's own backoff goes up to two minutes; a restarted server is back within seconds.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.max_send_message_length", 64 * 1024 * 1024),
)
_NUMBERS = {"FP32": "<f", "INT32": "<i", "BOOL": "<?"}
_STATUSES = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
}


def infer_request(model: str, inputs: Mapping[str, Any]) -> service_pb2.ModelInferRequest:
    """Strings become BYTES tensors, numbers FP32 ones; `max_cost` and `min_quality` are parameters of the request."""
    message = service_pb2.ModelInferRequest(model_name=model)
    for name, value in inputs.items():
        if name in PARAMETERS:
            message.parameters[name].double_param = value
            continue
        text = isinstance(value, str)
        message.inputs.add(name=name, datatype="BYTES" if text else "FP32", shape=[1, 1])
        message.raw_input_contents.append(_text(value) if text else struct.pack("<f", value))
    return message


def outputs_of(response: service_pb2.ModelInferResponse) -> dict[str, Any]:
    """First element of each output that is a string or a number."""
    found: dict[str, Any] = {}
    for tensor, data in zip(response.outputs, response.raw_output_contents, strict=True):
        if tensor.datatype == "BYTES":
            (length,) = struct.unpack_from("<I", data)
            found[tensor.name] = data[4 : 4 + length].decode()
        elif tensor.datatype in _NUMBERS:
            (found[tensor.name],) = struct.unpack_from(_NUMBERS[tensor.datatype], data)
    return found


def is_final(response: service_pb2.ModelInferResponse) -> bool:
    return bool(response.parameters["triton_final_response"].bool_param)


def translated(error: grpc.RpcError, server: Server) -> RouterError:
    """A call's status as an error. Models name a code in their messages; without one UNAVAILABLE is the connection's."""
    code, details = error.code(), error.details() or ""
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return RequestTimeoutError(f"{server.url} was not done within the client's timeout of {server.timeout:g} s")
    told = from_triton(_STATUSES.get(code, 500), details)
    if code == grpc.StatusCode.UNAVAILABLE and told.message == details:
        return ConnectionFailedError(f"no Triton answers at {server.url} ({details})", retryable=True)
    return told


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<I", len(data)) + data
