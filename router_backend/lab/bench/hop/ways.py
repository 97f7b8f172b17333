"""The ways to ask Triton for a decision; each asks the same question, and checks that there is an answer."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any, Protocol

import aiohttp
import grpc
import numpy as np
import orjson
import tritonclient.grpc.aio as grpcclient
from tritonclient.grpc import service_pb2_grpc
from tritonclient.utils import serialize_byte_tensor, shared_memory

from router_backend.gateway.kserve.inference import Inference, Wire, text
from router_backend.gateway.kserve.over_grpc import to_message
from router_backend.gateway.kserve.over_http import to_request
from router_backend.lab.bench.hop.servers import Server
from router_backend.lab.bench.prompts import texts
from router_backend.triton.server.embedded import ADMIN_HEADER

_PROMPT = next(texts(64, 7))
_REQUEST = {"model": "auto", "messages": [{"role": "user", "content": _PROMPT}], "max_tokens": 16}
_INPUTS = {
    "question": orjson.dumps({"request": _REQUEST, "candidates": ["nemotron-49b", "llama3-70b", "llama3-8b"]}),
}
QUESTION = Inference("router", tuple(text(*item) for item in _INPUTS.items()), {}, ("decision",))
_REGION_BYTES = 64 * 1024


class Way(Protocol):
    """Any number of questions at once."""

    async def ask(self, seconds: float) -> None:
        """Raises an error when there is no decision within `seconds`."""

    async def close(self) -> None: ...


class ByWire:
    """As the gateway asks."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def ask(self, seconds: float) -> None:
        _check((await self._wire.infer(QUESTION, seconds))["decision"])

    async def close(self) -> None:
        await self._wire.aclose()


class ByStream:
    """One long-lived ModelStreamInfer; answers find their questions by the request's id."""

    def __init__(self, server: Server) -> None:
        self._channel = grpc.aio.insecure_channel(server.grpc)
        self._call = service_pb2_grpc.GRPCInferenceServiceStub(self._channel).ModelStreamInfer()
        self._waiting: dict[str, asyncio.Future[bytes]] = {}
        self._ids = itertools.count()
        self._turn = asyncio.Lock()  # a stream takes one message at a time
        self._reader = asyncio.ensure_future(self._read())

    async def ask(self, seconds: float) -> None:
        request, name = to_message(QUESTION), str(next(self._ids))
        request.id = name
        waiting = self._waiting[name] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds):
                async with self._turn:
                    await self._call.write(request)
                _check(await waiting)
        finally:
            self._waiting.pop(name, None)

    async def close(self) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await self._channel.close()

    async def _read(self) -> None:
        try:
            async for response in self._call:
                waiting = self._waiting.get(response.infer_response.id)
                if waiting and not waiting.done():
                    waiting.set_result(response.infer_response.raw_output_contents[0])
        except grpc.aio.AioRpcError as error:
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(ConnectionError(error.details()))


class ByLibrary:
    """aiohttp, with the same bytes as our own client sends."""

    def __init__(self, address: str) -> None:
        head, _, self._body = to_request(QUESTION).partition(b"\r\n\r\n")
        lines = (line.partition(": ") for line in head.decode().split("\r\n")[1:])
        self._headers = {name: value for name, _, value in lines if name != "Content-Length"}
        self._headers["Accept-Encoding"] = "identity"  # Triton would compress the answer
        path = address.removeprefix("unix:")
        connector = aiohttp.UnixConnector(path) if path != address else aiohttp.TCPConnector()
        self._url = f"http://{'triton' if path != address else address}/v2/models/{QUESTION.model}/infer"
        self._session = aiohttp.ClientSession(connector=connector)

    async def ask(self, seconds: float) -> None:
        limit = aiohttp.ClientTimeout(total=seconds)
        async with self._session.post(self._url, data=self._body, headers=self._headers, timeout=limit) as answer:
            body = await answer.read()
            _check(body[int(answer.headers["Inference-Header-Content-Length"]) :])

    async def close(self) -> None:
        await self._session.close()


class BySharedMemory:
    """tritonclient with system shared memory: inputs and the output lie in it, gRPC says where. One region a call."""

    def __init__(self, server: Server) -> None:
        self._client = grpcclient.InferenceServerClient(server.grpc)
        self._key = {f"triton-grpc-protocol-{ADMIN_HEADER}": server.settings.admin_key}
        self._idle: list[tuple[str, Any]] = []
        self._made: list[Any] = []
        self._prefix = f"hop_{server.settings.grpc_port}"

    async def ask(self, seconds: float) -> None:
        name, region = self._idle.pop() if self._idle else await self._region()
        inputs, at = [], _REGION_BYTES // 2
        for key, value in _INPUTS.items():
            data = serialize_byte_tensor(np.array([[value]], object))
            shared_memory.set_shared_memory_region(region, [data], at)
            size = len(data.item())
            tensor = grpcclient.InferInput(key, [1, 1], "BYTES")
            tensor.set_shared_memory(name, size, at)
            inputs.append(tensor)
            at += size
        output = grpcclient.InferRequestedOutput("decision")
        output.set_shared_memory(name, _REGION_BYTES // 2)
        await self._client.infer(QUESTION.model, inputs, outputs=[output], client_timeout=seconds)
        _check(b"0000" + shared_memory.get_contents_as_numpy(region, np.object_, [1])[0])
        self._idle.append((name, region))

    async def close(self) -> None:
        await self._client.close()
        for region in self._made:
            shared_memory.destroy_shared_memory_region(region)

    async def _region(self) -> tuple[str, Any]:
        name = f"{self._prefix}_{len(self._made)}"
        region = shared_memory.create_shared_memory_region(name, name, _REGION_BYTES)
        self._made.append(region)
        await self._client.register_system_shared_memory(name, name, _REGION_BYTES, headers=self._key)
        return name, region


def _check(decision: bytes) -> None:
    if not orjson.loads(decision[4:])["decision_id"]:
        raise ValueError("no decision")
