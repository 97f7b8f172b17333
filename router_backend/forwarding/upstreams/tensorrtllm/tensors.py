"""Triton's raw tensor encoding (KServe v2 gRPC protocol, "Raw Data Format"), for the few shapes that are needed."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from tritonclient.grpc import service_pb2

_FORMATS = {
    "BOOL": "?",
    "INT32": "i",
    "UINT32": "I",
    "INT64": "q",
    "UINT64": "Q",
    "FP32": "f",
    "FP64": "d",
}


def add_input(
    request: service_pb2.ModelInferRequest, name: str, datatype: str, values: Sequence[Any], batched: bool
) -> None:
    """Append an input of shape [len(values)], or [1, len(values)] where the model batches. Strings are UTF-8.

    Raises:
        ValueError: the datatype is none that these models use.
    """
    tensor = request.inputs.add(name=name, datatype=datatype)
    tensor.shape.extend([1, len(values)] if batched else [len(values)])
    if datatype == "BYTES":
        texts = [str(value).encode("utf-8", "replace") for value in values]
        raw = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    elif datatype in _FORMATS:
        raw = struct.pack(f"<{len(values)}{_FORMATS[datatype]}", *values)
    else:
        raise ValueError(f"input {name} has the datatype {datatype}, which is not supported")
    request.raw_input_contents.append(raw)


def outputs(response: service_pb2.ModelInferResponse) -> dict[str, Any]:
    """The first element of each output that has one."""
    values: dict[str, Any] = {}
    for tensor, raw in zip(response.outputs, response.raw_output_contents, strict=False):
        if tensor.datatype == "BYTES":
            if len(raw) >= 4:
                (size,) = struct.unpack_from("<I", raw)
                values[tensor.name] = raw[4 : 4 + size].decode("utf-8", "replace")
        elif tensor.datatype in _FORMATS and raw:
            values[tensor.name] = struct.unpack_from(f"<{_FORMATS[tensor.datatype]}", raw)[0]
    return values
