"""Triton's HTTP as the gateway speaks it: nothing that comes is trusted, and no connection is used out of step."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from router_backend.gateway.kserve import http_connection, http_pool
from router_backend.gateway.kserve.inference import Inference, TritonError, number, text
from router_backend.gateway.kserve.over_http import HttpWire

QUESTION = Inference("decide", (text("request", b"{}"), number("score", 0.5)), {"dry_run": True}, ("decision",))
LONG = 60.0


def answer(data: bytes = b"yes", *, head: str = "", described: Any = None, status: str = "200 OK") -> bytes:
    """A response of Triton with one output."""
    if described is None:
        described = {"outputs": [{"name": "decision", "parameters": {"binary_data_size": len(data)}}]}
    json = orjson.dumps(described)
    length = f"Inference-Header-Content-Length: {len(json)}\r\n" if status.startswith("200") else ""
    size = len(json) + len(data)
    return f"HTTP/1.1 {status}\r\n{length}{head}Content-Length: {size}\r\n\r\n".encode() + json + data


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]]


class Server:
    """Reads whole requests; `script` answers them, told how many its connection has had before."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.requests, self.connections, self.ended = folder, [], 0, asyncio.Event()  # type: ignore[var-annotated]
        self.script: Script = reply(answer())

    @property
    def url(self) -> str:
        return f"unix:{self.folder / 's'}"

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.folder / "s")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = 0
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                await self.script(reader, writer, number)
                number += 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.ended.set()
            writer.close()

    async def stop(self) -> None:
        self._server.close()


def reply(*parts: bytes, close: bool = False) -> Script:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        if close:
            writer.close()

    return script


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
    await reader.read()
    raise ConnectionError


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    found = Server(tmp_path)
    await found.start()
    yield found
    await found.stop()


@pytest.fixture
async def wire(server: Server) -> AsyncIterator[HttpWire]:
    found = HttpWire(server.url, 2)
    yield found
    await found.aclose()


async def test_tensors_go_and_come_as_bytes(server: Server, wire: HttpWire) -> None:
    assert await wire.infer(QUESTION, LONG) == {"decision": b"yes"}
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v2/models/decide/infer HTTP/1.1\r\n")
    description = body[: -len(b"\x02\0\0\0{}" + b"\0\0\0\x3f")]
    assert b"Inference-Header-Content-Length: %d\r\n" % len(description) in head
    told = orjson.loads(description)
    assert [tensor["parameters"]["binary_data_size"] for tensor in told["inputs"]] == [6, 4]
    assert told["parameters"] == {"dry_run": True, "binary_data_output": True}
    assert [output["name"] for output in told["outputs"]] == ["decision"]


async def test_one_connection_serves_many_calls(server: Server, wire: HttpWire) -> None:
    for _ in range(3):
        await wire.infer(QUESTION, LONG)
    assert server.connections == 1


async def test_an_answer_may_come_in_any_pieces(server: Server, wire: HttpWire) -> None:
    server.script = reply(*(bytes([byte]) for byte in answer()))
    assert await wire.infer(QUESTION, LONG) == {"decision": b"yes"}


@pytest.mark.parametrize(
    ("sent", "cause"),
    [
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", "unavailable"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", "unavailable"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 20_000 + b"\r\n\r\n", "unavailable"),
        (b"HTTP/1.1 200 OK\r\nInference-Header-Content-Length: -1\r\nContent-Length: 0\r\n\r\n", "unavailable"),
        (answer(b"four", described={"outputs": [{"name": "x", "parameters": {"binary_data_size": 5}}]}), "error"),
        (answer(b"four", described={"outputs": [{"name": "x", "parameters": {"binary_data_size": -1}}]}), "error"),
        (answer(b"four", described={"outputs": [{"name": "x", "parameters": {"binary_data_size": 3}}]}), "error"),
        (answer(b"", described={"outputs": [{"name": "x", "data": ["yes"]}]}), "error"),
        (answer(b"", described=[]), "error"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "error"),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", "error"),
    ],
    ids=["ssh", "two lengths", "head", "length", "short", "negative", "rest", "json tensor", "list", "text", "empty"],
)
async def test_what_is_no_answer_is_an_error(server: Server, wire: HttpWire, sent: bytes, cause: str) -> None:
    server.script = reply(sent, close=True)
    with pytest.raises(TritonError) as caught:
        await wire.infer(QUESTION, LONG)
    assert caught.value.cause == cause
    server.script = reply(answer())
    assert await wire.infer(QUESTION, LONG) == {"decision": b"yes"}


async def test_an_answer_has_a_size(server: Server, wire: HttpWire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "MAX_BODY_BYTES", 1000)
    server.script = reply(answer(b"x" * 2000))
    with pytest.raises(TritonError):
        await wire.infer(QUESTION, LONG)


@pytest.mark.parametrize(
    ("status", "message", "cause", "code"),
    [
        ("404 Not Found", "Request for unknown model: 'decide' is not found", "error", "NOT_SERVED"),
        ("400 Bad Request", "in ensemble 'decide', INVALID_ARGUMENT: policy 'x'", "error", "INVALID_ARGUMENT"),
        ("503 Service Unavailable", "OTHER_CONFIGURATION: no b", "configuration", "OTHER_CONFIGURATION"),
        ("503 Service Unavailable", "the queue is full", "unavailable", ""),
        ("500 Internal Server Error", "a stub has died", "error", ""),
    ],
)
async def test_errors_keep_their_cause_and_code(
    server: Server, wire: HttpWire, status: str, message: str, cause: str, code: str
) -> None:
    server.script = reply(answer(b"", described={"error": message}, status=status))
    with pytest.raises(TritonError) as caught:
        await wire.infer(QUESTION, LONG)
    assert (caught.value.cause, caught.value.code) == (cause, code)
    assert server.connections == 1


async def test_a_call_that_is_given_up_closes_its_connection(server: Server, wire: HttpWire) -> None:
    server.script = silence
    with pytest.raises(TritonError, match="timeout"):
        await wire.infer(QUESTION, 0.01)
    await server.ended.wait()
    server.script = reply(answer())
    assert await wire.infer(QUESTION, LONG) == {"decision": b"yes"}
    assert server.connections == 2


async def test_a_connection_that_ended_while_idle_costs_no_call(server: Server, wire: HttpWire) -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        if number:
            raise ConnectionError  # it was taken for open when the request was sent
        await reply(answer())(reader, writer, number)

    server.script = once
    for _ in range(3):
        assert await wire.infer(QUESTION, LONG) == {"decision": b"yes"}
    assert server.connections == 3


async def test_a_new_connection_that_breaks_is_an_error_at_once(server: Server, wire: HttpWire) -> None:
    server.script = reply(close=True)
    with pytest.raises(TritonError, match="closed"):
        await wire.infer(QUESTION, LONG)
    assert server.connections == 1


async def test_an_answer_that_breaks_off_is_not_asked_for_again(server: Server, wire: HttpWire) -> None:
    await wire.infer(QUESTION, LONG)
    server.script = reply(answer()[:30], close=True)
    with pytest.raises(TritonError, match="closed"):
        await wire.infer(QUESTION, LONG)
    assert len(server.requests) == 2


async def test_nobody_gets_an_answer_that_nobody_asked_for(server: Server, wire: HttpWire) -> None:
    server.script = reply(answer(b"mine") + answer(b"whose?"))
    assert await wire.infer(QUESTION, LONG) == {"decision": b"mine"}
    server.script = reply(answer(b"mine, too"))
    assert await wire.infer(QUESTION, LONG) == {"decision": b"mine, too"}
    assert server.connections == 2


async def test_connections_are_bounded_and_calls_wait_for_one(server: Server, wire: HttpWire) -> None:
    held, release = asyncio.Semaphore(0), asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        held.release()
        await release.wait()
        await reply(answer())(reader, writer, number)

    server.script = hold
    calls = [asyncio.create_task(wire.infer(QUESTION, LONG)) for _ in range(9)]
    for _ in range(2):
        await held.acquire()
    calls.pop().cancel()  # one that waits
    calls.pop(0).cancel()  # one that is under way
    release.set()
    assert await asyncio.gather(*calls) == [{"decision": b"yes"}] * 7
    assert len(server.requests) == 8
    assert server.connections == 3


async def test_nobody_listens(tmp_path: Path) -> None:
    for address in (f"unix:{tmp_path / 'none'}", "127.0.0.1:9"):
        with pytest.raises(TritonError) as caught:
            await HttpWire(address, 2).infer(QUESTION, LONG)
        assert caught.value.cause == "unavailable"


async def test_a_connection_ends_with_its_age(server: Server, wire: HttpWire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_pool, "_AGE_SECONDS", 0.0)
    await wire.infer(QUESTION, LONG)
    await server.ended.wait()  # Triton may end


@pytest.mark.parametrize("dead", [[], ["127.0.0.1"], ["127.0.0.4"]])
async def test_every_address_of_a_name_that_listens_gets_its_share(
    monkeypatch: pytest.MonkeyPatch, dead: list[str]
) -> None:
    served: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            await reader.readexactly(int(head.lower().partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0]))
            served.append(writer.get_extra_info("sockname")[0])
            writer.write(answer())

    alive = ["127.0.0.2", "127.0.0.3"]
    # Bound, but nobody listens: so no other program can answer there.
    held = [socket.socket() for _ in dead]
    for address, bound in zip(dead, held, strict=True):
        bound.bind((address, 0))
    servers = [await asyncio.start_server(serve, alive[0], held[0].getsockname()[1] if held else 0)]
    port = servers[0].sockets[0].getsockname()[1]
    servers.append(await asyncio.start_server(serve, alive[1], port))
    real = asyncio.base_events.BaseEventLoop.getaddrinfo

    async def named(self: Any, host: str, at: int, **kwargs: Any) -> Any:
        if host != "triton.llm":
            return await real(self, host, at, **kwargs)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in (*alive, *dead)]

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", named)
    wire = HttpWire(f"triton.llm:{port}", 4)
    try:
        for _ in range(10):
            await asyncio.gather(*(wire.infer(QUESTION, LONG) for _ in range(4)))
        assert len(served) == 40
        assert all(served.count(address) >= 10 for address in alive)
    finally:
        await wire.aclose()
        for server in servers:
            server.close()
        for bound in held:
            bound.close()
