"""One gate for what clients say: sizes and counts are bounded before anything is kept, and large requests hold up nobody."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import Any

import orjson
import pytest

from router_backend.core import jsonio
from router_backend.core import large as off_loop
from router_backend.forwarding.upstreams import openai
from router_backend.gateway.schemas import MAX_FIELDS, MAX_VALUES
from tests.gateway.conftest import Running, Serve
from tests.gateway.test_disconnects import connect
from tests.gateway.test_requests import check_error
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import ScriptedUpstream

MEBIBYTE = 2**20
CODE = 'if (a["x"] == {}) { return [1, 2, {"y": ":"}]; }\\' + "\n"


async def post(gateway: Running, raw: bytes) -> Any:
    return await gateway.http.post("/v1/chat/completions", content=raw)


def chat(**fields: Any) -> bytes:
    return orjson.dumps({"model": "a", "messages": [{"role": "user", "content": "hi"}], **fields})


@pytest.mark.parametrize(
    "value",
    [
        b"[" + b"{}," * (8 * MEBIBYTE // 3 - 100) + b"{}]",
        b"[" + b"[]," * MAX_FIELDS + b"[]]",
        b"{" + b",".join(b'"%d":0' % at for at in range(MAX_FIELDS)) + b"}",
        b"[" + b"1," * MAX_VALUES + b"1]",
        b'["'
        + CODE.encode().replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n") * 10_000
        + b'"'
        + b",{}" * MAX_FIELDS
        + b"]",
    ],
    ids=["objects", "lists", "fields", "numbers", "behind a text"],
)
async def test_more_values_than_anybody_means_are_refused_before_they_are_built(
    serve: Serve, upstream: ScriptedUpstream, value: bytes
) -> None:
    gateway = await serve(upstream)
    raw = chat()[:-1] + b',"x":' + value + b"}"
    assert check_error(await post(gateway, raw), 400)["code"] == "request_too_complex"
    assert not upstream.requests


async def test_a_long_text_full_of_brackets_is_one_value(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream)
    text = CODE * 60_000
    assert (await gateway.chat(text, model="a")).status_code == 200
    assert upstream.requests[0]["messages"][0]["content"] == text


async def test_small_requests_are_answered_while_large_ones_are_read(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream)
    release = threading.Event()
    blocked = off_loop.worker.submit(release.wait)  # as long as it lasts, no large request gets on
    try:
        large = [asyncio.create_task(post(gateway, chat(x=["y" * 900_000] * 8))) for _ in range(4)]
        async with asyncio.timeout(20):
            while off_loop.worker._work_queue.qsize() < 4:
                await asyncio.sleep(0.01)
        assert (await gateway.chat(model="a")).status_code == 200
        assert not any(task.done() for task in large)
    finally:
        release.set()
    assert blocked.result()
    assert [(await task).status_code for task in large] == [200] * 4


async def test_large_requests_are_written_off_the_loop_too(
    serve: Serve, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []

    def dump(value: Any) -> bytes:
        threads.append(threading.current_thread().name)
        return jsonio.dump(value)

    monkeypatch.setattr(openai, "dump", dump)
    gateway = await serve(upstream)
    for text in ("hi", "y" * MEBIBYTE):
        assert (await gateway.chat(text, model="a")).status_code == 200
    small, large = threads
    assert small == threading.main_thread().name
    assert large.startswith("large-bodies")


def test_work_on_large_bodies_leaves_time_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    rests: list[float] = []

    def rest(seconds: float) -> None:
        nonlocal now
        rests.append(seconds)
        now += seconds

    def work(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(off_loop, "_rest_until", 0.0)
    monkeypatch.setattr(off_loop.time, "monotonic", lambda: now)
    monkeypatch.setattr(off_loop.time, "sleep", rest)
    for seconds in (0.03, 0.5, 0.01):
        off_loop._in_turn(partial(work, seconds))
    assert rests == pytest.approx([0.0, 0.03, 0.05])


async def test_large_bodies_in_flight_are_bounded_and_small_ones_pass(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream, gateway={"bodies_bytes": 2 * MEBIBYTE})
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % (2 * MEBIBYTE)
    _, holder = await asyncio.open_connection("127.0.0.1", gateway.port)
    holder.write(head + b" " * 100_000)  # and no more
    async with asyncio.timeout(10):
        while not gateway.app.bodies._taken:
            await asyncio.sleep(0.01)
    waits = asyncio.create_task(post(gateway, chat(x="y" * MEBIBYTE)))
    async with asyncio.timeout(10):
        while not gateway.app.bodies._waiting:
            await asyncio.sleep(0.01)
    assert (await gateway.chat(model="a")).status_code == 200
    assert not waits.done()
    holder.close()
    assert (await waits).status_code == 200
    assert gateway.app.bodies._taken == 0


@pytest.mark.parametrize(
    ("path", "copies"),
    [("/v1/chat/completions", 2), ("/v1/completions", 2), ("/v1/messages", 6), ("/v1/responses", 6)],
)
async def test_room_is_for_all_copies_of_a_body(
    serve: Serve, upstream: ScriptedUpstream, path: str, copies: int
) -> None:
    gateway = await serve(upstream)
    head = b"POST %b HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n" % path.encode()
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(head + b" " * 100_000)
    async with asyncio.timeout(10):
        while not gateway.app.bodies._taken:
            await asyncio.sleep(0.01)
    assert gateway.app.bodies._taken == copies * 1_000_000
    writer.close()


async def test_who_finds_no_room_in_time_is_told(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream, gateway={"bodies_bytes": MEBIBYTE, "body_seconds": 0.3})
    taken = await gateway.app.bodies.take(MEBIBYTE, 1)
    error = await post(gateway, chat(x="y" * MEBIBYTE))
    assert check_error(error, 503)["code"] == "overloaded"
    assert error.headers["retry-after"]
    gateway.app.bodies.give_back(taken)
    assert (await post(gateway, chat(x="y" * MEBIBYTE))).status_code == 200


async def test_a_session_is_kept_by_its_hash(serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton) -> None:
    gateway = await serve(upstream, triton=triton)
    users = [letter * (6 * MEBIBYTE) for letter in "xy"]
    for user in (*users, users[0]):
        assert (await gateway.chat(user=user)).status_code == 200
    sessions = [asked["session_id"] for asked in triton.asked]
    assert sessions[0] == sessions[2] != sessions[1]
    assert all(len(session) < 100 for session in sessions)
    assert triton.asked[2]["previous_model"] == "a"
    assert upstream.requests[0]["user"] == users[0]
    kept = gateway.app._sessions._turns._entries
    assert len(kept) == 3  # with the conversation itself
    assert all(len(key) <= 16 for key in kept)


async def test_large_requests_are_classified_by_their_ends(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, triton=triton, arm={"capabilities": ["tools", "vision", "json"]})
    text = "begin " + "filler " * 500_000 + "end"
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:," + "x" * 99_000}}]}
    messages = [image, *({"role": "user", "content": str(at)} for at in range(500)), {"role": "user", "content": text}]
    tools = [
        {"type": "function", "function": {"name": f"f{at}", "description": "d" * 200, "parameters": {}}}
        for at in range(900)
    ]
    body = {"model": "auto", "messages": messages, "tools": tools, "max_tokens": 9}
    assert (await gateway.http.post("/v1/chat/completions", json=body)).status_code == 200
    (asked,) = triton.asked
    request = asked["request"]
    assert len(orjson.dumps(request)) < 64 * 1024
    assert request["messages"][-1]["content"].startswith("begin ")
    assert request["messages"][-1]["content"].endswith(" end")
    assert request["messages"][0]["content"] == [{"type": "image_url"}]
    assert request["tools"]
    assert request["max_tokens"] == 9
    assert int(asked["prompt_tokens"]) > 500_000
    assert upstream.requests[0]["messages"] == messages
    assert upstream.requests[0]["tools"] == tools


async def test_a_stranger_holds_no_room(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream)
    _, writer = await connect(gateway, x="y" * MEBIBYTE)
    await upstream.wait_requests()
    async with asyncio.timeout(10):
        while gateway.app.bodies._taken:
            await asyncio.sleep(0.01)
    writer.close()
