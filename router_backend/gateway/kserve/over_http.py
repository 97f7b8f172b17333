"""HTTP with binary tensors (KServe's binary data extension): JSON says what they are, and their bytes follow it."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from router_backend.gateway.kserve.http_connection import Answer
from router_backend.gateway.kserve.http_pool import Pool
from router_backend.gateway.kserve.inference import Inference, Outputs, TritonError

_CAUSES = {429: "overloaded", 503: "unavailable", 504: "timeout"}


class HttpWire:
    """A pool of connections to one address."""

    def __init__(self, address: str, connections: int) -> None:
        """`address`: `unix:<path>`, or `<host>:<port>`; at most `connections` are open at once."""
        self._pool = Pool(address, connections)

    async def infer(self, inference: Inference, seconds: float) -> Outputs:
        request = to_request(inference)
        try:
            async with asyncio.timeout(seconds):
                answer = await self._pool.exchange(request)
        except TimeoutError:
            raise TritonError("timeout") from None
        except OSError as error:
            raise TritonError("unavailable", message=str(error)) from None
        try:
            return tensors_of(answer)
        except (LookupError, TypeError, ValueError) as error:
            raise TritonError("error", message=f"{inference.model} answered without usable tensors ({error})") from None

    async def aclose(self) -> None:
        self._pool.close()


def to_request(inference: Inference) -> bytes:
    """The request, head and body."""
    fields: dict[str, Any] = {
        "inputs": [
            {
                "name": tensor.name,
                "datatype": tensor.datatype,
                "shape": (1, 1),
                "parameters": {"binary_data_size": len(tensor.data)},
            }
            for tensor in inference.inputs
        ],
        # Of gRPC's metadata Triton makes parameters of the same names.
        "parameters": {**inference.parameters, **inference.trace, "binary_data_output": True},
    }
    if inference.outputs:
        fields["outputs"] = [{"name": name, "parameters": {"binary_data": True}} for name in inference.outputs]
    description = orjson.dumps(fields)
    tensors = [tensor.data for tensor in inference.inputs]
    length = len(description) + sum(map(len, tensors))
    head = (
        f"POST /v2/models/{inference.model}/infer HTTP/1.1\r\nHost: triton\r\nContent-Type: application/octet-stream\r\n"
        f"Inference-Header-Content-Length: {len(description)}\r\nContent-Length: {length}\r\n\r\n"
    )
    return b"".join((head.encode(), description, *tensors))


def tensors_of(answer: Answer) -> Outputs:
    """The tensors of an answer.

    Raises:
        TritonError: it is an error.
        LookupError, TypeError, ValueError: it is no answer.
    """
    description = orjson.loads(answer.body[: answer.json_length])
    if answer.status != 200:
        cause = _CAUSES.get(answer.status, "error")
        raise TritonError.told(cause, str(description["error"]), not_found=answer.status == 404)
    found: dict[str, bytes] = {}
    at = answer.json_length
    for tensor in description["outputs"]:
        size = tensor["parameters"]["binary_data_size"]
        if not isinstance(size, int) or not 0 <= size <= len(answer.body) - at:
            raise ValueError(f"{tensor['name']} is not all there")
        found[tensor["name"]] = answer.body[at : at + size]
        at += size
    if at != len(answer.body):
        raise ValueError("there is more than it says")
    return found
