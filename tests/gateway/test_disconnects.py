"""Clients that leave: LiteLLM #13774, #14295, #30223, claude-code-proxy #114 (a middleware hid it)."""

from __future__ import annotations

import asyncio
import json
import math
import random
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from router_backend.forwarding.stream.chunks import ChunkReader
from tests.gateway.conftest import Running, Serve
from tests.gateway.test_process import GatewayProcess
from tests.gateway.test_streaming import outcome, stream
from tests.support.arms import model
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import Script, ScriptedUpstream

SURFACES = ["/v1/chat/completions", "/v1/messages", "/v1/responses"]
on_all_surfaces = pytest.mark.parametrize("path", SURFACES)


async def connect(
    gateway: Running | GatewayProcess, path: str = SURFACES[0], requests: int = 1, **fields: Any
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A bare socket on which the same request has been sent so many times: it can be closed at any moment."""
    asked = {"model": "a", "messages": [{"role": "user", "content": "hi"}], **fields}
    if path == "/v1/responses":
        asked["input"] = asked.pop("messages")
    body = json.dumps(asked).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write((head.encode() + body) * requests)
    return reader, writer


async def open_and_leave(gateway: Running, after: int, **fields: Any) -> None:
    """Read so many events of a stream, and close the connection."""
    reader, writer = await connect(gateway, stream=True, **fields)
    assert (await reader.readline()).split()[1] == b"200"
    while after:
        line = await reader.readline()
        assert line, "the stream ended early"
        after -= line.startswith(b"data: ")
    writer.close()


async def abort(gateway: Running, upstream: ScriptedUpstream, **fields: Any) -> None:
    """Send a request and close the connection when the upstream works on it."""
    _, writer = await connect(gateway, **fields)
    await upstream.wait_running()
    writer.close()


@on_all_surfaces
async def test_leaving_before_the_first_token_cancels_the_upstream(
    serve: Serve, upstream: ScriptedUpstream, path: str
) -> None:
    upstream.script(Script(first_delay=math.inf))
    gateway = await serve(upstream)
    await abort(gateway, upstream, path=path, stream=True)
    await upstream.wait_cancelled()


@on_all_surfaces
async def test_leaving_in_mid_stream_cancels_the_upstream(serve: Serve, upstream: ScriptedUpstream, path: str) -> None:
    upstream.script(Script(text=["a"] * 10, hang_after=4))
    gateway = await serve(upstream)
    await open_and_leave(gateway, path=path, after=3)
    await upstream.wait_cancelled()


@on_all_surfaces
async def test_leaving_an_answer_that_is_not_streamed_cancels_the_upstream(
    serve: Serve, upstream: ScriptedUpstream, path: str
) -> None:
    upstream.script(Script(latency=math.inf))
    gateway = await serve(upstream)
    await abort(gateway, upstream, path=path)
    await upstream.wait_cancelled()


@on_all_surfaces
async def test_leaving_while_routing_calls_no_upstream(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, path: str
) -> None:
    triton.delay = 0.3
    gateway = await serve(upstream, triton=triton)
    _, writer = await connect(gateway, path, model="auto")
    while not triton.asked:
        await asyncio.sleep(0)
    writer.close()
    await asyncio.sleep(0.5)
    assert not upstream.requests


@pytest.mark.parametrize("streams", [False, True])
async def test_leaving_with_further_requests_behind_cancels_the_upstream(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, streams: bool
) -> None:
    upstream.script(Script(text=["a"] * 10, hang_after=4) if streams else Script(latency=math.inf))
    gateway = await serve(upstream, triton=triton)
    reader, writer = await connect(gateway, stream=streams, requests=3)
    if streams:
        await reader.readuntil(b"data: ")
    else:
        await upstream.wait_running()
    writer.close()
    await upstream.wait_cancelled()
    assert (await outcome(triton))["status"] == 499
    assert len(upstream.requests) == 1


async def test_a_client_that_goes_while_it_is_written_to_leaves_no_trace(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    upstream.script(Script(text=["x" * 100_000] * 300), Script(text=["x"] * 10_000, delay=0.0005), Script())
    gateway = GatewayProcess(tmp_path, upstream)
    gateway.write("a", gateway={"write_seconds": 0.3, "access_log": True})
    process = await gateway.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}", trust_env=False) as http:
            await gateway.until_live(http)
            for leaves in (False, True):  # it is cut off, or goes
                reader, writer = await connect(gateway, stream=True, requests=3)
                writer.transport.pause_reading()  # type: ignore[attr-defined]
                await upstream.wait_running()
                if leaves:
                    writer.transport.resume_reading()  # type: ignore[attr-defined]
                    await reader.readuntil(b"data: ")
                    writer.transport.abort()
                await upstream.wait_running(0, within=20)
                writer.close()
            assert (await http.get("/health/live")).status_code == 200
        process.terminate()
        _, log = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert b"Traceback" not in log, log.decode()
    assert b"internal_error" not in log, log.decode()


async def test_cancellation_does_not_count_as_a_failure_of_the_upstream(
    serve: Serve, upstream: ScriptedUpstream
) -> None:
    upstream.script(Script(latency=math.inf))
    gateway = await serve(upstream, breaker={"failures": 1, "open_seconds": 60})
    await abort(gateway, upstream)
    await upstream.wait_cancelled()
    upstream.script(Script())
    assert (await gateway.chat(model="a")).status_code == 200


async def test_a_client_that_does_not_read_is_let_go(serve: Serve, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(text=["x" * 100_000] * 1000))  # more than the sockets' buffers hold
    gateway = await serve(upstream, timeouts={"total": 2})
    _, writer = await connect(gateway, stream=True)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await upstream.wait_cancelled(within=10)
    assert "llm_router_in_flight_requests 0.0" in (await gateway.http.get("/metrics")).text
    writer.close()


async def test_a_running_answer_keeps_its_time_limit_through_a_reload(
    serve: Serve, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    upstream.script(Script(text=["x" * 100_000] * 1000, first_delay=1))
    path = tmp_path / "router.yaml"
    models = [model("a", upstream.base_url)]
    path.write_text(yaml.safe_dump({"version": 1, "models": models, "default_model": "a", "timeouts": {"total": 600}}))
    gateway = await serve(upstream, timeouts={"total": 2}, config_path=path)
    _, writer = await connect(gateway, stream=True)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await upstream.wait_running()
    assert (await gateway.http.post("/admin/reload")).status_code == 200
    await upstream.wait_cancelled(within=15)
    writer.close()


async def test_many_streams_with_random_disconnects_leave_nothing_behind(
    serve: Serve, upstream: ScriptedUpstream
) -> None:
    upstream.script(Script(text=["x"] * 20, delay=0.005))
    gateway = await serve(upstream)
    tasks_before = len(asyncio.all_tasks())
    await asyncio.gather(*(open_and_leave(gateway, after=count % 7) for count in range(60)))
    await upstream.wait_running(0)
    async with asyncio.timeout(5):
        while len(asyncio.all_tasks()) > tasks_before:
            await asyncio.sleep(0.01)
    assert "llm_router_in_flight_requests 0.0" in (await gateway.http.get("/metrics")).text


@pytest.mark.slow
async def test_a_thousand_streams_at_once_with_random_disconnects(serve: Serve, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(text=["x"] * 30, delay=0.05))
    # The upstream shares this process: it takes a thousand connections at once only slowly.
    limits = {"connect": 30, "first_token": 60}
    # So does the client: of a thousand connections the last one sends its head late.
    patient = {"header_seconds": 120, "body_seconds": 120}
    arm = {"max_concurrency": 1000, "max_queue": 1000}
    gateway = await serve(upstream, arm=arm, timeouts=limits, gateway=patient)
    await asyncio.gather(*(open_and_leave(gateway, after=1) for _ in range(10)))
    tasks_before = len(asyncio.all_tasks())
    dice = random.Random(5)
    whole = asyncio.gather(*(stream(gateway, model="a") for _ in range(50)))
    await asyncio.gather(*(open_and_leave(gateway, after=dice.randrange(1, 20)) for _ in range(950)))
    assert all(chunks[-1] == "[DONE]" for chunks in await whole)
    await upstream.wait_running(0, within=30)
    async with asyncio.timeout(30):
        while len(asyncio.all_tasks()) > tasks_before + 60:  # the client's pooled connections stay
            await asyncio.sleep(0.05)
    assert "llm_router_in_flight_requests 0.0" in (await gateway.http.get("/metrics")).text


@on_all_surfaces
async def test_usage_is_kept_when_the_client_leaves(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, path: str
) -> None:
    upstream.script(Script(text=["a"] * 10, hang_after=5))
    gateway = await serve(upstream, triton=triton)
    await open_and_leave(gateway, path=path, after=3)
    kept = await outcome(triton)
    assert kept["status"] == 499
    assert kept["usage"]["completion"] > 0
    assert kept["cost"] > 0


PROMPT = "word " * 4_000  # some 5,000 tokens


async def test_who_leaves_before_the_usage_pays_for_what_was_read_and_written(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    upstream.script(Script(text=["four" * 1_000] * 3, hang_after=4))  # few chunks, of a thousand tokens each
    gateway = await serve(upstream, triton=triton)
    await open_and_leave(gateway, after=4, messages=[{"role": "user", "content": PROMPT}])
    kept = await outcome(triton)
    assert kept["status"] == 499
    assert kept["usage"]["completion"] == pytest.approx(3_000, rel=0.1)
    assert kept["usage"]["prompt"] == pytest.approx(5_000, rel=0.1)
    assert kept["cost"] == pytest.approx((5_000 + 2 * 3_000) / 1e6, rel=0.1)


@on_all_surfaces
@pytest.mark.parametrize("stream", [False, True])
async def test_who_leaves_before_any_answer_pays_for_the_prompt(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, stream: bool, path: str
) -> None:
    upstream.script(Script(latency=math.inf))
    gateway = await serve(upstream, triton=triton)
    await abort(gateway, upstream, path=path, stream=stream, messages=[{"role": "user", "content": PROMPT}])
    kept = await outcome(triton)
    assert kept["status"] == 499
    assert kept["usage"]["prompt"] == pytest.approx(5_000, rel=0.1)
    assert kept["cost"] == pytest.approx(5_000 / 1e6, rel=0.1)


async def test_a_whole_answer_that_is_left_costs_what_was_written_of_it(
    serve: Serve,
    upstream: ScriptedUpstream,
    second: ScriptedUpstream,
    triton: ScriptedTriton,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read, take = 0, ChunkReader.take

    def noted(self: ChunkReader, data: bytes) -> bytes | None:
        nonlocal read
        chunk = take(self, data)
        read += data.count(b"four")
        return chunk

    monkeypatch.setattr(ChunkReader, "take", noted)
    upstream.script(Script(text=["four" * 1_000] * 3, hang_after=4))
    gateway = await serve(upstream, second, triton=triton)
    _, writer = await connect(gateway, model="auto", messages=[{"role": "user", "content": PROMPT}])
    async with asyncio.timeout(30):
        while read < 3_000:
            await asyncio.sleep(0.01)
    writer.close()
    kept = await outcome(triton)
    assert kept["usage"]["completion"] == pytest.approx(3_000, rel=0.1)
    assert kept["cost"] == pytest.approx((5_000 + 2 * 3_000) / 1e6, rel=0.1)
