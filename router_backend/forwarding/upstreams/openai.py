"""Upstreams with an OpenAI surface: NIM, vLLM, llama.cpp, or any compatible server, over pooled HTTP/1.1."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from time import time
from typing import Any
from urllib.parse import urljoin, urlsplit

from router_backend.core.jsonio import dump, load
from router_backend.core.large import off_loop
from router_backend.forwarding.failure import error_answer, error_fields, from_status, unreadable, unusable
from router_backend.forwarding.stream.sse import DONE, EventTooLarge, SSEParser
from router_backend.forwarding.stream.whole import as_chunk
from router_backend.forwarding.upstreams.http import (
    NO_TYPE,
    Ended,
    HTTPClient,
    HTTPReply,
    HTTPResponse,
    NotConnected,
    failure_of,
)
from router_backend.forwarding.upstreams.upstream import Call

MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_REDIRECTS = 3
_STREAMS = frozenset({"text/event-stream", "text/plain", NO_TYPE})
"""Types of streams: some servers give plain text, or none."""
_ANTHROPIC_VERSION = "2023-06-01"
MAX_RETRY_AFTER = 24 * 3600.0


class OpenAIServer:
    """An OpenAI-compatible server for one arm. `key` is asked at each call, so that a rotated key is used at once."""

    def __init__(
        self,
        arm: str,
        client: HTTPClient,
        base_url: str,
        model: str,
        key: Callable[[], str | None] = lambda: None,
        headers: dict[str, str] | None = None,
        connect: float = 2.0,
    ) -> None:
        self._arm, self._client, self._url, self._model = arm, client, base_url.rstrip("/"), model
        self._key, self._connect = key, connect
        self._headers = {name.lower(): value for name, value in (headers or {}).items()}

    async def start(self, call: Call) -> OpenAIReply:
        """See `Upstream.start`."""
        body = {**call.body, "model": self._model}
        headers = {"content-type": "application/json", "accept-encoding": "identity", **self._headers, **call.trace}
        headers["accept"] = "text/event-stream" if call.streamed else "application/json"
        if call.request_id and call.request_id.isprintable():
            headers["x-request-id"] = call.request_id
        key = self._key()
        headers |= call.headers
        if key:
            headers["authorization"] = f"Bearer {key}"
        if call.native == "messages":
            headers.setdefault("anthropic-version", _ANTHROPIC_VERSION)
            if key:
                headers["x-api-key"] = key
        try:
            data = await off_loop(call.size, dump, body)
        except (RecursionError, ValueError) as error:
            raise unreadable(f"the request can't be written as JSON: {error}") from error
        try:
            response = await self._post(f"{self._url}/{call.native or call.endpoint}", data, headers)
        except (NotConnected, Ended) as error:
            raise failure_of(error, self._arm, self._connect) from error
        except ValueError as error:
            raise unreadable(f"the request can't be sent: {error}") from error
        reply = OpenAIReply(self._arm, response)
        try:
            await self._check(response, reply, call.streamed)
        except BaseException:
            reply.cancel()
            raise
        return reply

    async def _post(self, url: str, data: bytes, headers: dict[str, str]) -> HTTPResponse:
        """Follows 307 and 308 within the server: to another one, neither the prompt nor the key may go."""
        redirects = 0
        while True:
            response = await self._client.post(url, data, headers)
            if response.status not in (307, 308) or redirects == MAX_REDIRECTS:
                return response
            target = _target(url, response.header("location"))
            if target is None:
                return response
            response.finish()
            redirects += 1
            url = target

    async def _check(self, response: HTTPResponse, reply: OpenAIReply, streamed: bool) -> None:
        if not 200 <= response.status < 300:
            body = await reply.body()
            reply.finish()
            raise from_status(self._arm, response.status, body, retry_after_of(response.header("retry-after")))
        if streamed and response.content_type not in _STREAMS:
            body = await reply.body()
            reply.finish()
            try:
                answer = load(body)
            except ValueError:
                answer = None
            if isinstance(answer, dict) and not answer.get("choices") and error_fields(answer).get("message"):
                raise error_answer(self._arm, answer)
            if isinstance(answer, dict) and type(answer.get("choices")) is list and answer["choices"]:
                reply.answered_whole(answer)  # it is paid for
                return
            raise unusable(self._arm, f"{response.content_type} instead of text/event-stream")

    async def aclose(self) -> None:
        """Connections are the engine's."""


class OpenAIReply:
    """See `Reply`."""

    __slots__ = ("_arm", "_http", "_parser", "_whole")

    def __init__(self, arm: str, response: HTTPResponse) -> None:
        self._arm, self._http = arm, HTTPReply(arm, response)
        self._parser = SSEParser()
        self._whole: list[bytes] = []

    async def body(self) -> bytes:
        """See `Reply.body`."""
        return await self._http.body(MAX_BODY_BYTES)

    def answered_whole(self, answer: dict[str, Any]) -> None:
        """The answer came in one piece though a stream was asked for."""
        self._whole = [dump(as_chunk(answer)), DONE]

    async def events(self) -> list[bytes]:
        """See `Reply.events`."""
        if self._whole:
            whole, self._whole = self._whole, []
            return whole
        try:
            while data := await self._http.read():
                events = self._parser.feed(data)
                if events:
                    return events
                await asyncio.sleep(0)  # what has been read already comes without a pause, and others wait
        except EventTooLarge as error:
            raise unusable(self._arm, str(error)) from error
        return self._parser.flush()

    def finish(self) -> None:
        """See `Reply.finish`."""
        self._http.finish()

    def cancel(self) -> None:
        """See `Reply.cancel`."""
        self._http.cancel()


def _target(url: str, location: str | None) -> str | None:
    """Where a redirect leads, if that is the same server."""
    if location is None:
        return None
    try:
        target = urljoin(url, location)
        here, there = urlsplit(url), urlsplit(target)
    except ValueError:
        return None
    return target if (here.scheme, here.netloc) == (there.scheme, there.netloc) else None


def retry_after_of(value: str | None) -> float | None:
    """Seconds, from a number of seconds or an HTTP date (RFC 9110, section 10.2.3)."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time()
        except ValueError:
            return None
    return min(MAX_RETRY_AFTER, max(0.0, seconds))
