"""HTTP, sync and async, for both dialects."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from typing import Any, TypeVar

import httpx

from llm_router_client.dialect import Call, Dialect
from llm_router_client.errors import ConnectionFailedError, RequestTimeoutError, RouterError, StreamError
from llm_router_client.reading import UNREADABLE, Opened, StreamReader
from llm_router_client.requests import ChatRequest, Score
from llm_router_client.results import Completion, Decision, Reward
from llm_router_client.transport import Server

T = TypeVar("T")


class HttpTransport:
    """One pool of connections; may be shared by threads."""

    def __init__(self, server: Server, dialect: Dialect) -> None:
        self._server, self._dialect = server, dialect
        self._http = httpx.Client(**_options(server))

    def route(self, request: ChatRequest) -> Decision:
        return _parsed(self._send(self._dialect.route(request)), self._dialect.decision)

    def chat(self, request: ChatRequest) -> Completion:
        response = self._send(self._dialect.chat(request))
        return _parsed(response, lambda body: self._dialect.completion(body, response.headers))

    def feedback(self, score: Score) -> Reward:
        response = self._send(self._dialect.feedback(score))
        return _parsed(response, lambda body: self._dialect.reward(body, score))

    def lookup(self, decision_id: str) -> Decision:
        return _parsed(self._send(self._dialect.lookup(decision_id)), self._dialect.decision)

    def stream(self, request: ChatRequest) -> Generator[Opened, None, None]:
        call, clock, begun = self._dialect.chat(request), _Clock(self._server), False
        try:
            with self._http.stream("POST", call.path, json=call.json, headers=call.headers) as response:
                if response.status_code != 200:
                    response.read()
                    raise self._error(response)
                begun, reader = True, StreamReader(self._dialect, response.headers)
                if reader.decision is not None:
                    yield reader.decision, []
                for piece in response.iter_bytes():
                    yield from reader.feed(piece)
                    clock.check()
                    if reader.done:
                        break
                reader.finish()
        except httpx.HTTPError as error:
            raise _translated(error, self._server, begun) from error

    def close(self) -> None:
        self._http.close()

    def _send(self, call: Call) -> httpx.Response:
        try:
            response = self._http.request(_method(call), call.path, json=call.json, headers=call.headers)
        except httpx.HTTPError as error:
            raise _translated(error, self._server) from error
        if response.status_code != 200:
            raise self._error(response)
        return response

    def _error(self, response: httpx.Response) -> RouterError:
        return self._dialect.error(response.status_code, response.headers, response.text)


class AsyncHttpTransport:
    """As `HttpTransport`, for one event loop."""

    def __init__(self, server: Server, dialect: Dialect) -> None:
        self._server, self._dialect = server, dialect
        self._http = httpx.AsyncClient(**_options(server))

    async def route(self, request: ChatRequest) -> Decision:
        return _parsed(await self._send(self._dialect.route(request)), self._dialect.decision)

    async def chat(self, request: ChatRequest) -> Completion:
        response = await self._send(self._dialect.chat(request))
        return _parsed(response, lambda body: self._dialect.completion(body, response.headers))

    async def feedback(self, score: Score) -> Reward:
        response = await self._send(self._dialect.feedback(score))
        return _parsed(response, lambda body: self._dialect.reward(body, score))

    async def lookup(self, decision_id: str) -> Decision:
        return _parsed(await self._send(self._dialect.lookup(decision_id)), self._dialect.decision)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Opened, None]:
        call, clock, begun = self._dialect.chat(request), _Clock(self._server), False
        try:
            async with self._http.stream("POST", call.path, json=call.json, headers=call.headers) as response:
                if response.status_code != 200:
                    await response.aread()
                    raise self._error(response)
                begun, reader = True, StreamReader(self._dialect, response.headers)
                if reader.decision is not None:
                    yield reader.decision, []
                async for piece in response.aiter_bytes():
                    for opened in reader.feed(piece):
                        yield opened
                    clock.check()
                    if reader.done:
                        break
                reader.finish()
        except httpx.HTTPError as error:
            raise _translated(error, self._server, begun) from error

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _send(self, call: Call) -> httpx.Response:
        try:
            response = await self._http.request(_method(call), call.path, json=call.json, headers=call.headers)
        except httpx.HTTPError as error:
            raise _translated(error, self._server) from error
        if response.status_code != 200:
            raise self._error(response)
        return response

    def _error(self, response: httpx.Response) -> RouterError:
        return self._dialect.error(response.status_code, response.headers, response.text)


class _Clock:
    """httpx limits each wait; this limits their sum."""

    def __init__(self, server: Server) -> None:
        self._server, self._until = server, time.monotonic() + server.timeout

    def check(self) -> None:
        if time.monotonic() > self._until:
            raise _late(self._server)


def _options(server: Server) -> dict[str, Any]:
    return {
        "base_url": server.url,
        "headers": server.headers,
        "timeout": httpx.Timeout(server.timeout, connect=server.connect_timeout),
        "limits": httpx.Limits(max_connections=None, max_keepalive_connections=100),
    }


def _method(call: Call) -> str:
    return "GET" if call.json is None else "POST"


def _parsed(response: httpx.Response, parse: Callable[[Mapping[str, Any]], T]) -> T:
    try:
        return parse(response.json())
    except UNREADABLE as error:
        raise RouterError(
            f"{response.url} sent an answer that can't be read ({error!r}); is this the router's address?",
            status=response.status_code,
            request_id=response.headers.get("x-request-id"),
        ) from error


def _translated(error: httpx.HTTPError, server: Server, begun: bool = False) -> RouterError:
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return ConnectionFailedError(f"no router answers at {server.url} ({error or 'timeout'})", retryable=True)
    if isinstance(error, httpx.TimeoutException):
        return _late(server)
    if begun:
        return StreamError(f"the connection to {server.url} broke in the middle of an answer ({error!r})")
    return ConnectionFailedError(f"{server.url} closed the connection without an answer ({error!r})", retryable=True)


def _late(server: Server) -> RequestTimeoutError:
    return RequestTimeoutError(f"{server.url} was not done within the client's timeout of {server.timeout:g} s")
