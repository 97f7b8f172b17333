"""A real HTTP server that speaks Bedrock's Converse and ConverseStream, and checks the signature of each request.

Frames are those of AWS's event stream (the encoding's own specification, "Event stream encoding" of the Amazon Transcribe
Developer Guide); tests let botocore's client read them, too.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ACCESS, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
REGION = "eu-central-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET}
Event = tuple[str, Mapping[str, Any]]


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message: lengths, their checksum, headers, payload, the checksum of all."""
    written = b"".join(
        struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", 7, len(value.encode())) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(written) + len(payload), len(written))
    message = prelude + struct.pack(">I", crc32(prelude)) + written + payload
    return message + struct.pack(">I", crc32(message))


def event(name: str, fields: Mapping[str, Any]) -> bytes:
    """An event, or by a name that ends in `Exception` an exception."""
    kind = "exception" if name.endswith("Exception") else "event"
    headers = {f":{kind}-type": name, ":content-type": "application/json", ":message-type": kind}
    return frame(headers, json.dumps(fields).encode())


def text_events(*texts: str, usage: Mapping[str, int] | None = None, reason: str = "end_turn") -> list[Event]:
    """The events of an answer of text."""
    return [
        ("messageStart", {"role": "assistant"}),
        *(("contentBlockDelta", {"delta": {"text": text}, "contentBlockIndex": 0}) for text in texts),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": reason}),
        (
            "metadata",
            {"usage": usage or {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10}, "metrics": {"latencyMs": 5}},
        ),
    ]


@dataclass(frozen=True, slots=True)
class Script:
    """What the server does with one request. Times are seconds; `math.inf` hangs until the client leaves."""

    events: Sequence[Event] = field(default_factory=lambda: text_events("Hello", ", ", "world"))
    status: int = 200
    error: str = ""  # name of the exception of an answer that is no 200
    message: str = "no"
    latency: float = 0.0  # before the status line
    frames: Sequence[bytes] | None = None  # raw bytes of the stream, one write each, instead of `events`
    body: bytes | None = None  # raw body of an answer that isn't streamed, or of an error
    cut_after: int | None = None  # close the connection after so many writes
    hang_after: int | None = None  # silence after so many writes
    split: int = 0  # write the stream in pieces of so many bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class ScriptedBedrock:
    """On a free port of loopback; answers whole requests with what the script's events add up to, or `body`."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.models: list[str] = []  # as they were asked for
        self.refused: list[str] = []  # signatures that aren't right
        self.cancelled = 0
        self._scripts: list[Script] = [Script()]
        self._changed = asyncio.Event()

    def script(self, *scripts: Script) -> None:
        """One script per request from now on; the last one stays."""
        self._scripts = list(scripts)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> ScriptedBedrock:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/model/{model}/{way}", self._handle)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port: int = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def wait_cancelled(self, count: int = 1) -> None:
        await self._wait(lambda: self.cancelled >= count)

    async def wait_requests(self, count: int = 1) -> None:
        await self._wait(lambda: len(self.requests) >= count)

    async def _wait(self, met: Any) -> None:
        async with asyncio.timeout(30):
            while not met():
                self._changed.clear()
                await self._changed.wait()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        data = await request.read()
        if not signed(request, data):
            self.refused.append(request.headers.get("authorization", ""))
            return web.json_response(
                {"message": "The request signature we calculated does not match"},
                status=403,
                headers={"x-amzn-errortype": "InvalidSignatureException"},
            )
        self.requests.append(json.loads(data))
        self.models.append(request.match_info["model"])
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        self._changed.set()
        try:
            return await self._answer(request, script)
        except (asyncio.CancelledError, ConnectionResetError):
            self.cancelled += 1
            self._changed.set()
            raise

    async def _answer(self, request: web.Request, script: Script) -> web.StreamResponse:
        await _sleep(script.latency)
        if script.status != 200:
            body = script.body if script.body is not None else json.dumps({"message": script.message}).encode()
            headers = {"x-amzn-errortype": f"{script.error}:http://internal.amazon.com/coral/", **script.headers}
            return web.Response(status=script.status, body=body, headers=headers, content_type="application/json")
        if request.match_info["way"] == "converse":
            body = script.body if script.body is not None else json.dumps(whole(script.events)).encode()
            return web.Response(body=body, content_type="application/json")
        response = web.StreamResponse(headers={"content-type": "application/vnd.amazon.eventstream", **script.headers})
        await response.prepare(request)
        writes = list(script.frames if script.frames is not None else (event(*each) for each in script.events))
        if script.split:
            joined = b"".join(writes)
            writes = [joined[at : at + script.split] for at in range(0, len(joined), script.split)]
        for count, data in enumerate(writes):
            if count == script.hang_after:
                await _sleep(float("inf"))
            if count == script.cut_after:
                assert request.transport
                request.transport.abort()
                return response
            await response.write(data)
            await asyncio.sleep(0)
        return response


async def _sleep(seconds: float) -> None:
    if seconds == float("inf"):
        await asyncio.Event().wait()
    await asyncio.sleep(seconds)


def signed(request: web.Request, data: bytes) -> bool:
    """Whether botocore, given what was signed, comes to the same signature (and hash of the body)."""
    try:
        given = dict(
            part.strip().split("=", 1) for part in request.headers["authorization"].partition(" ")[2].split(",")
        )
        names = given["SignedHeaders"].split(";")
        headers = {name: request.headers[name] for name in names if name != "host"}
        url = f"http://{request.headers['host']}{request.raw_path}"
        again = AWSRequest("POST", url, headers=headers, data=data)
        again.context["timestamp"] = request.headers["x-amz-date"]
        auth = SigV4Auth(Credentials(ACCESS, SECRET), "bedrock", REGION)
        text = auth.string_to_sign(again, auth.canonical_request(again))
        scope = given["Credential"].partition("/")[2]
        return auth.signature(text, again) == given["Signature"] and scope == auth.credential_scope(again)
    except (KeyError, ValueError):
        return False


def whole(events: Sequence[Event]) -> dict[str, Any]:
    """Converse's answer in one piece."""
    texts = "".join(fields["delta"].get("text", "") for name, fields in events if name == "contentBlockDelta")
    rest = {name: fields for name, fields in events if name in ("messageStop", "metadata")}
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": texts}]}},
        "stopReason": rest["messageStop"]["stopReason"],
        "usage": rest["metadata"]["usage"],
        "metrics": {"latencyMs": 1},
    }
