"""Failures over gRPC, from a real gRPC server with KServe's protocol; tests/system has the real Triton."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from llm_router_client import (
    BadRequestError,
    ConnectionFailedError,
    NotFoundError,
    RateLimitError,
    RequestTimeoutError,
    RouterError,
    ServerError,
    StreamError,
)
from tests.clients.conftest import Connect


@dataclass(frozen=True)
class Fail:
    """Ends the call with a status."""

    code: grpc.StatusCode
    details: str


@dataclass
class Server(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # untyped stubs
    """Plays `calls`, one after the other, the last one again and again.

    A step is a text (a response), a Fail, an error message in the stream (bytes), or seconds of silence.
    """

    calls: list[list[str | bytes | float | Fail]] = field(default_factory=lambda: [["Hel", "lo"]])
    asked: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)  # a client has cancelled
    final_holds_data: bool = False

    async def ModelStreamInfer(
        self, requests: Any, context: Any
    ) -> AsyncIterator[service_pb2.ModelStreamInferResponse]:
        steps = self.calls[min(self.asked, len(self.calls) - 1)]
        self.asked += 1
        try:
            for at, step in enumerate(steps, 1):
                if isinstance(step, Fail):
                    await context.abort(step.code, step.details)
                elif isinstance(step, bytes):
                    yield service_pb2.ModelStreamInferResponse(error_message=step.decode())
                elif isinstance(step, str):
                    reply = answer(step)
                    if self.final_holds_data and at == len(steps):
                        reply.infer_response.parameters["triton_final_response"].bool_param = True
                        yield reply
                        return
                    yield reply
                else:
                    await asyncio.sleep(step)
            final = service_pb2.ModelStreamInferResponse()
            final.infer_response.parameters["triton_final_response"].bool_param = True
            yield final
        except asyncio.CancelledError:
            self.left.set()
            raise


def answer(text: str) -> service_pb2.ModelStreamInferResponse:
    chunk = json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]})
    values = {"model": "m", "decision_id": "d", "chunk": chunk}
    message = service_pb2.ModelStreamInferResponse()
    for name, value in values.items():
        message.infer_response.outputs.add(name=name, datatype="BYTES", shape=[1, 1])
        message.infer_response.raw_output_contents.append(struct.pack("<I", len(value.encode())) + value.encode())
    for name in ("num_input_tokens", "num_output_tokens"):
        message.infer_response.outputs.add(name=name, datatype="INT32", shape=[1, 1])
        message.infer_response.raw_output_contents.append(struct.pack("<i", 0))
    return message


@pytest.fixture
async def server() -> Server:
    return Server()


@pytest.fixture
async def url(server: Server) -> AsyncIterator[str]:
    running = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(server, running)
    port = running.add_insecure_port("127.0.0.1:0")
    await running.start()
    yield f"triton+grpc://127.0.0.1:{port}"
    await running.stop(0)


@pytest.mark.parametrize(
    ("step", "kind", "calls"),
    [
        (Fail(grpc.StatusCode.INVALID_ARGUMENT, "input beam_width=4"), BadRequestError, 1),
        (Fail(grpc.StatusCode.INTERNAL, "NOT_FOUND: no decision"), NotFoundError, 1),
        (Fail(grpc.StatusCode.INTERNAL, "502: all models failed"), ServerError, 3),
        (Fail(grpc.StatusCode.INTERNAL, "something else"), ServerError, 1),
        (Fail(grpc.StatusCode.UNAVAILABLE, "429: the queue is full"), RateLimitError, 3),
        (Fail(grpc.StatusCode.UNAVAILABLE, "Socket closed"), ConnectionFailedError, 3),
        (b"in ensemble 'route', INVALID_ARGUMENT: no such policy", BadRequestError, 1),
        (b"503: resting", ServerError, 3),
    ],
)
async def test_each_failure_has_its_class_and_passing_ones_are_tried_again(
    connect: Connect, server: Server, url: str, step: Fail | bytes, kind: type[RouterError], calls: int
) -> None:
    server.calls = [[step]]
    with pytest.raises(kind) as told:
        await connect(url).text("hi")
    assert type(told.value) is kind
    assert server.asked == calls


async def test_a_passing_failure_is_not_seen(connect: Connect, server: Server, url: str) -> None:
    server.calls = [[Fail(grpc.StatusCode.UNAVAILABLE, "503: resting")], ["Hel", "lo"]]
    assert await connect(url).text("hi") == "Hello"


async def test_the_final_response_may_hold_data(connect: Connect, server: Server, url: str) -> None:
    server.final_holds_data = True
    assert await connect(url).text("hi") == "Hello"


async def test_the_servers_wait_is_kept(connect: Connect, server: Server, url: str) -> None:
    server.calls = [[Fail(grpc.StatusCode.UNAVAILABLE, "429: queue full (retry-after: 1)")], ["Hello"]]
    started = asyncio.get_running_loop().time()
    assert await connect(url).text("hi") == "Hello"
    assert asyncio.get_running_loop().time() - started >= 1


@pytest.mark.parametrize("details", ["429: x (retry-after: 3600)", "502: x (should-retry: false)"])
async def test_what_will_not_pass_is_told_at_once(connect: Connect, server: Server, url: str, details: str) -> None:
    server.calls = [[Fail(grpc.StatusCode.UNAVAILABLE, details)]]
    with pytest.raises(RouterError):
        await connect(url).chat("hi")
    assert server.asked == 1


@pytest.mark.parametrize("step", [Fail(grpc.StatusCode.UNAVAILABLE, "Socket closed"), b"the answer broke off: cut"])
async def test_nothing_is_tried_again_after_the_first_byte(
    connect: Connect, server: Server, url: str, step: Fail | bytes
) -> None:
    server.calls = [["Hel", step]]
    with pytest.raises(StreamError):
        await connect(url).text("hi")
    assert server.asked == 1


async def test_an_answer_without_content_is_an_error(connect: Connect, server: Server, url: str) -> None:
    server.calls = [[]]
    for call in (connect(url).text, connect(url).chat):
        with pytest.raises(StreamError):
            await call("hi")


async def test_leaving_a_stream_cancels_the_call(connect: Connect, server: Server, url: str) -> None:
    server.calls = [["a", "b", 3600.0]]
    await connect(url).leave("hi", after=2)
    async with asyncio.timeout(5):
        await server.left.wait()


@pytest.mark.parametrize("steps", [[30.0], ["a", 30.0]])
async def test_the_timeout_limits_the_whole_answer(
    connect: Connect, server: Server, url: str, steps: list[str | bytes | float | Fail]
) -> None:
    server.calls = [steps]
    with pytest.raises(RequestTimeoutError, match=r"0\.3 s"):
        await connect(url, timeout=0.3).text("hi")
    assert server.asked == 1
