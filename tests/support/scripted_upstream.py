"""A real HTTP server with an OpenAI surface that does, request by request, what a test's script says.

async with ScriptedUpstream() as upstream:
    upstream.script(Script(status=503), Script(text=["Hel", "lo"]))   # the first request, the second, then the last again
    ... requests to upstream.base_url ...
    assert upstream.cancelled == 0
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

END_OF_CHUNKS = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Script:
    """What the server does with one request. Times are seconds; `math.inf` hangs until the client leaves."""

    text: Sequence[str] = ("Hello", ", ", "world")
    status: int = 200
    error: Mapping[str, Any] | None = None  # error object of an answer that is no 200
    headers: Mapping[str, str] = field(default_factory=dict)
    latency: float = 0.0  # before the status line
    first_delay: float = 0.0  # between the headers and the first byte of the body
    delay: float = 0.0  # before each chunk but the first
    drop: bool = False  # close the connection instead of answering
    frames: Sequence[bytes] | None = None  # raw bytes of the stream, one write each, instead of `text`
    body: bytes | None = None  # raw body of an answer that isn't streamed
    cut_after: int | None = None  # close the connection after so many writes
    split: int = 0  # write the stream in pieces of so many bytes
    hang_after: int | None = None  # silence after so many writes
    done: bool = True  # send [DONE]
    finish: str | None = "stop"
    linger: float = 0.0  # keep the response open after the last byte
    usage: Mapping[str, Any] | None = field(
        default_factory=lambda: {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    )
    delta: Mapping[str, Any] = field(default_factory=dict)  # more fields of the first content's delta
    extra: Mapping[str, Any] = field(default_factory=dict)  # more fields of each chunk, or of the body


class ScriptedUpstream:
    """Serves OpenAI's endpoints on a free port of loopback; for /v1/messages and /v1/responses give `frames` and `body`."""

    def __init__(self, model: str = "upstream-model") -> None:
        self.model = model
        self.models: Any = {
            "object": "list",
            "data": [{"id": model, "object": "model"}],
        }  # what /v1/models says; bytes as they are
        self.key = ""  # that /v1/models asks for
        self.listed = 0  # times that /v1/models was asked
        self.requests: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.request_headers: list[Mapping[str, str]] = []
        self.running = 0  # requests that are being answered
        self.cancelled = 0  # requests whose client left before the end
        self.completed = 0
        self.written = 0  # bytes of streams that the network has taken
        self.clients: set[tuple[str, int]] = set()  # the other ends of all connections that ever sent a request
        self._scripts: list[Script] = [Script()]
        self._choose: Callable[[Mapping[str, Any]], Script] | None = None
        self._changed = asyncio.Event()

    def script(self, *scripts: Script) -> None:
        """One script per request from now on; the last one stays."""
        self._scripts, self._choose = list(scripts), None

    def script_by(self, choose: Callable[[Mapping[str, Any]], Script]) -> None:
        """The script by the request's body."""
        self._choose = choose

    @property
    def connections(self) -> int:
        """TCP connections open now."""
        assert self._runner.server is not None
        return len(self._runner.server.connections)

    @property
    def base_url(self) -> str:
        """Up to and including /v1."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def __aenter__(self) -> ScriptedUpstream:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        for endpoint in ("chat/completions", "completions", "embeddings", "messages", "responses"):
            app.router.add_post(f"/v1/{endpoint}", self._handle)
        app.router.add_get("/v1/models", self._models)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, backlog=4096).start()
        self.port: int = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def wait_cancelled(self, count: int = 1, within: float = 5.0) -> None:
        """Until so many requests were cancelled by their client.

        Raises:
            TimeoutError: they were not, within the time.
        """
        async with asyncio.timeout(within):
            while self.cancelled < count:
                self._changed.clear()
                await self._changed.wait()

    async def wait_requests(self, count: int = 1, within: float = 5.0) -> None:
        """Until so many requests have come in.

        Raises:
            TimeoutError: they have not, within the time.
        """
        async with asyncio.timeout(within):
            while len(self.requests) < count:
                self._changed.clear()
                await self._changed.wait()

    async def wait_running(self, count: int = 1, within: float = 5.0) -> None:
        """Until exactly so many requests are being answered.

        Raises:
            TimeoutError: they were not, within the time.
        """
        async with asyncio.timeout(within):
            while self.running != count:
                self._changed.clear()
                await self._changed.wait()

    async def _models(self, request: web.Request) -> web.Response:
        self.listed += 1
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            return web.json_response({"error": {"message": "wrong key"}}, status=401)
        if isinstance(self.models, bytes):
            return web.Response(body=self.models, content_type="application/json")
        return web.json_response(self.models)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        self.paths.append(request.path)
        self.request_headers.append(request.headers)  # names in any case
        assert request.transport is not None
        self.clients.add(request.transport.get_extra_info("peername")[:2])
        if self._choose:
            script = self._choose(body)
        else:
            script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        self.running += 1
        self._changed.set()
        try:
            response = await self._answer(request, body, script)
            self.completed += 1
            return response
        except (asyncio.CancelledError, ConnectionResetError):
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
            self._changed.set()

    async def _answer(self, request: web.Request, body: dict[str, Any], script: Script) -> web.StreamResponse:
        await _sleep(script.latency)
        if script.drop:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if script.status != 200:
            error = script.error or {"message": f"scripted {script.status}", "type": "scripted", "code": None}
            return web.json_response({"error": error}, status=script.status, headers=script.headers)
        if body.get("stream"):
            return await self._stream(request, body, script)
        data = script.body if script.body is not None else json.dumps(self._body(request.path, script)).encode()
        response = web.StreamResponse(headers={"content-type": "application/json", **script.headers})
        response.content_length = len(data)
        await response.prepare(request)
        await _sleep(script.first_delay)
        if script.cut_after is not None:
            await response.write(data[: len(data) // 2])
            assert request.transport is not None
            request.transport.abort()
            return response
        await response.write(data)
        return response

    async def _stream(self, request: web.Request, body: dict[str, Any], script: Script) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream", **script.headers})
        await response.prepare(request)
        await _sleep(script.first_delay)
        frames = list(script.frames) if script.frames is not None else self._frames(request.path, body, script)
        if script.split:
            raw = b"".join(frames)
            frames = [raw[at : at + script.split] for at in range(0, len(raw), script.split)]
        for count, data in enumerate(frames):
            if count and script.delay:
                await _sleep(script.delay)
            if script.hang_after is not None and count >= script.hang_after:
                await asyncio.Event().wait()
            if script.cut_after is not None and count >= script.cut_after:
                break
            await response.write(data)
            self.written += len(data)
        if script.cut_after is not None:
            await asyncio.sleep(0.01)
            assert request.transport is not None
            request.transport.close()
            return response
        if script.hang_after is not None:
            await asyncio.Event().wait()
        await _sleep(script.linger)
        await response.write_eof()
        return response

    def _frames(self, path: str, body: Mapping[str, Any], script: Script) -> list[bytes]:
        chat = path.endswith("chat/completions")
        chunks: list[dict[str, Any]] = []
        if chat:
            chunks.append({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
        for count, text in enumerate(script.text):
            delta = {"content": text, **(script.delta if count == 0 else {})}
            chunks.append({"choices": [{"index": 0, **({"delta": delta} if chat else {"text": text})}]})
        if script.finish:
            end: dict[str, Any] = {"delta": {}} if chat else {"text": ""}
            chunks.append({"choices": [{"index": 0, **end, "finish_reason": script.finish}]})
        wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        for chunk in chunks:
            for choice in chunk["choices"]:
                choice.setdefault("finish_reason", None)
            if wants_usage:
                chunk["usage"] = None
        if wants_usage and script.usage is not None:
            chunks.append({"choices": [], "usage": dict(script.usage)})
        kind = "chat.completion.chunk" if chat else "text_completion"
        frames = [
            b"data: " + json.dumps({**self._head(kind), **chunk, **script.extra}, ensure_ascii=False).encode() + b"\n\n"
            for chunk in chunks
        ]
        return [*frames, END_OF_CHUNKS] if script.done else frames

    def _body(self, path: str, script: Script) -> dict[str, Any]:
        usage = {} if script.usage is None else {"usage": dict(script.usage)}
        if path.endswith("embeddings"):
            data = [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}]
            return {"object": "list", "model": self.model, "data": data, **usage, **script.extra}
        text = "".join(script.text)
        choice: dict[str, Any] = {"index": 0, "finish_reason": script.finish, "logprobs": None}
        if path.endswith("chat/completions"):
            choice["message"] = {"role": "assistant", "content": text, **script.delta}
            return {**self._head("chat.completion"), "choices": [choice], **usage, **script.extra}
        return {**self._head("text_completion"), "choices": [{**choice, "text": text}], **usage, **script.extra}

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": "chatcmpl-scripted",
            "object": kind,
            "created": 1700000000,
            "model": self.model,
            "system_fingerprint": "fp_scripted",
        }


async def _sleep(seconds: float) -> None:
    if seconds == float("inf"):
        await asyncio.Event().wait()
    elif seconds:
        await asyncio.sleep(seconds)
