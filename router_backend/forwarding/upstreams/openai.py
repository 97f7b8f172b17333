"""Upstreams with an OpenAI surface: NIM, vLLM, llama.cpp, or any compatible server, over pooled HTTP/1.1."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from time import time
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp

from router_backend.core.errors import CONNECT, CUT, OpenAIError
from router_backend.core.jsonio import dump, load
from router_backend.core.large import off_loop
from router_backend.forwarding.failure import (
    Failure,
    cut,
    error_answer,
    error_fields,
    from_status,
    timed_out,
    unreadable,
    unusable,
)
from router_backend.forwarding.stream.sse import DONE, EventTooLarge, SSEParser
from router_backend.forwarding.stream.whole import as_chunk
from router_backend.forwarding.upstreams.connector import TolerantConnector
from router_backend.forwarding.upstreams.proxies import proxy_for
from router_backend.forwarding.upstreams.upstream import Call

KEEPALIVE_SECONDS = 4.0
"""Below uvicorn's five, which NIM and vLLM run on: the server must not close first, under a request just sent."""
MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_HEADER_BYTES = 64 * 1024
"""Of a header: content security policies and cookies of proxies have tens of kilobytes."""
MAX_REDIRECTS = 3
READ_BYTES = 64 * 1024
"""Of a body that are read at once: lines of one byte take fifty times as much in memory, and others wait meanwhile."""
_STREAMS = frozenset({"text/event-stream", "text/plain", "application/octet-stream"})
"""Types of streams: some servers give plain text, or none, which aiohttp reads as the last one (RFC 2616, section 7.2.1)."""
LINGER_BYTES = 64 * 1024
"""More than that after an answer's end is no end."""
LINGER_SECONDS = 1.0
"""How long an answered request's connection may take to end, to be used again."""
_ANTHROPIC_VERSION = "2023-06-01"
MAX_RETRY_AFTER = 24 * 3600.0


def new_session(connect: float) -> aiohttp.ClientSession:
    """One session for all OpenAI upstreams of an engine. Connections are limited by arm, not here."""
    return aiohttp.ClientSession(
        connector=TolerantConnector(limit=0, keepalive_timeout=KEEPALIVE_SECONDS),
        timeout=aiohttp.ClientTimeout(total=None, connect=connect),  # of the name, too: `sock_connect` begins after it
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=True,
        read_bufsize=256 * 1024,
    )


class OpenAIServer:
    """An OpenAI-compatible server for one arm. `key` is asked at each call, so that a rotated key is used at once."""

    def __init__(
        self,
        arm: str,
        session: Callable[[], aiohttp.ClientSession],
        base_url: str,
        model: str,
        key: Callable[[], str | None] = lambda: None,
        headers: dict[str, str] | None = None,
        connect: float = 2.0,
    ) -> None:
        self._arm, self._session, self._url, self._model = arm, session, base_url.rstrip("/"), model
        self._key, self._headers, self._connect = key, headers or {}, connect
        self._proxy = proxy_for(base_url)
        self._lingering: set[asyncio.Task[None]] = set()

    async def start(self, call: Call) -> HTTPReply:
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
        except aiohttp.ConnectionTimeoutError as error:
            raise timed_out("connect", self._connect, self._arm) from error
        except aiohttp.ClientConnectorError as error:
            raise Failure(CONNECT, OpenAIError(f"{self._arm} can't be reached: {error.strerror or error}")) from error
        except (aiohttp.ClientError, OSError) as error:
            raise Failure(CUT, OpenAIError(f"{self._arm} closed the connection before it answered")) from error
        reply = HTTPReply(self._arm, response, self._lingering)
        try:
            await self._check(response, reply, call.streamed)
        except BaseException:
            reply.cancel()
            raise
        return reply

    async def _post(self, url: str, data: bytes, headers: dict[str, str]) -> aiohttp.ClientResponse:
        """Follows 307 and 308 within the server: to another one, neither the prompt nor the key may go."""
        redirects = 0
        while True:
            response = await self._session().post(
                url, data=data, headers=headers, allow_redirects=False, proxy=self._proxy
            )
            target = _target(url, response) if response.status in (307, 308) else None
            if target is None or redirects == MAX_REDIRECTS:
                return response
            response.release()
            redirects += 1
            url = target

    async def _check(self, response: aiohttp.ClientResponse, reply: HTTPReply, streamed: bool) -> None:
        if not 200 <= response.status < 300:
            body = await reply.body()
            reply.finish()
            raise from_status(self._arm, response.status, body, retry_after_of(response.headers.get("retry-after")))
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
        """Ends connections that wait for the end of an answered request. The session is the engine's."""
        for task in tuple(self._lingering):
            task.cancel()
        await asyncio.gather(*self._lingering, return_exceptions=True)


class HTTPReply:
    """See `Reply`."""

    __slots__ = ("_arm", "_ended", "_lingering", "_parser", "_response", "_whole")

    def __init__(self, arm: str, response: aiohttp.ClientResponse, lingering: set[asyncio.Task[None]]) -> None:
        self._arm, self._response, self._lingering = arm, response, lingering
        self._parser = SSEParser()
        self._whole: list[bytes] = []
        self._ended = False

    async def body(self) -> bytes:
        """See `Reply.body`."""
        parts, size = [], 0
        while part := await self.read():
            parts.append(part)
            size += len(part)
            if size > MAX_BODY_BYTES:
                raise unusable(self._arm, f"a body of more than {MAX_BODY_BYTES} bytes")
        return b"".join(parts)

    def answered_whole(self, answer: dict[str, Any]) -> None:
        """The answer came in one piece though a stream was asked for."""
        self._whole = [dump(as_chunk(answer)), DONE]

    async def events(self) -> list[bytes]:
        """See `Reply.events`."""
        if self._whole:
            whole, self._whole = self._whole, []
            return whole
        try:
            while data := await self.read():
                events = self._parser.feed(data)
                if events:
                    return events
                await asyncio.sleep(0)  # what has been read already comes without a pause, and others wait
        except EventTooLarge as error:
            raise unusable(self._arm, str(error)) from error
        return self._parser.flush()

    async def read(self) -> bytes:
        """The next bytes; none at the end. Raises Failure when the connection broke."""
        try:
            return await self._response.content.read(READ_BYTES)
        except (aiohttp.ClientError, OSError) as error:
            raise cut(self._arm) from error

    def finish(self) -> None:
        """See `Reply.finish`. Waits a moment, in the background, for the end of the body, and keeps the connection."""
        if self._ended:
            return
        self._ended = True
        if self._response.content.at_eof():
            self._response.release()
        else:
            task = asyncio.get_running_loop().create_task(self._linger())
            self._lingering.add(task)
            task.add_done_callback(self._lingering.discard)

    async def _linger(self) -> None:
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                size = 0
                while size <= LINGER_BYTES and (part := await self._response.content.readany()):
                    size += len(part)
        except (aiohttp.ClientError, OSError):  # TimeoutError is an OSError
            pass
        finally:
            self._response.close() if not self._response.content.at_eof() else self._response.release()

    def cancel(self) -> None:
        """See `Reply.cancel`."""
        if not self._ended:
            self._ended = True
            self._response.close()


def _target(url: str, response: aiohttp.ClientResponse) -> str | None:
    """Where a redirect leads, if that is the same server."""
    try:
        target = urljoin(url, response.headers["location"])
        here, there = urlsplit(url), urlsplit(target)
    except (KeyError, ValueError):
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
