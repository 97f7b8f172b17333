"""The clients' tests: real HTTP servers that do what a test says; both clients behind one async face."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import pytest

from llm_router_client import AsyncRouterClient, Completion, Decision, Retries, Reward, RouterClient, Stream
from tests.support.scripted_upstream import ScriptedUpstream


@pytest.fixture
async def server() -> AsyncIterator[ScriptedUpstream]:
    """Speaks OpenAI's protocol as the gateway does; what it does is scripted."""
    async with ScriptedUpstream() as running:
        yield running


class Client(Protocol):
    """What both clients can do."""

    async def route(self, prompt: str) -> Decision: ...

    async def chat(self, prompt: str, **options: Any) -> Completion: ...

    async def feedback(self, decision_id: str, score: float) -> Reward: ...

    async def decision(self, decision_id: str) -> Decision: ...

    async def text(self, prompt: str, **options: Any) -> str:
        """All of a streamed answer."""
        ...

    async def leave(self, prompt: str, after: int) -> None:
        """Close a streamed answer after so many chunks."""
        ...


class Threaded:
    """The sync client, each call in a thread."""

    def __init__(self, client: RouterClient) -> None:
        self._client = client

    async def route(self, prompt: str) -> Decision:
        return await asyncio.to_thread(self._client.route, prompt)

    async def chat(self, prompt: str, **options: Any) -> Completion:
        return await asyncio.to_thread(self._client.chat, prompt, **options)

    async def feedback(self, decision_id: str, score: float) -> Reward:
        return await asyncio.to_thread(self._client.feedback, decision_id, score)

    async def decision(self, decision_id: str) -> Decision:
        return await asyncio.to_thread(self._client.decision, decision_id)

    async def text(self, prompt: str, **options: Any) -> str:
        return await asyncio.to_thread(lambda: self._client.stream(prompt, **options).text())

    async def leave(self, prompt: str, after: int) -> None:
        def work() -> None:
            with self._client.stream(prompt) as stream:
                _take(stream, after)

        await asyncio.to_thread(work)


class Native:
    """The async client."""

    def __init__(self, client: AsyncRouterClient) -> None:
        self._client = client

    async def route(self, prompt: str) -> Decision:
        return await self._client.route(prompt)

    async def chat(self, prompt: str, **options: Any) -> Completion:
        return await self._client.chat(prompt, **options)

    async def feedback(self, decision_id: str, score: float) -> Reward:
        return await self._client.feedback(decision_id, score)

    async def decision(self, decision_id: str) -> Decision:
        return await self._client.decision(decision_id)

    async def text(self, prompt: str, **options: Any) -> str:
        return await (await self._client.stream(prompt, **options)).text()

    async def leave(self, prompt: str, after: int) -> None:
        async with await self._client.stream(prompt) as stream:
            for _ in range(after):
                await anext(stream)


def _take(stream: Stream, count: int) -> None:
    for _ in range(count):
        next(stream)


Connect = Callable[..., Client]


@pytest.fixture(params=["sync", "async"])
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    """Makes a client for a URL; options are the client's, with quick retries."""
    sync: list[RouterClient] = []
    native: list[AsyncRouterClient] = []

    def make(url: str, **options: Any) -> Client:
        options = {"retries": Retries(backoff=0.001), "timeout": 30.0} | options
        if request.param == "sync":
            sync.append(RouterClient(url, **options))
            return Threaded(sync[-1])
        native.append(AsyncRouterClient(url, **options))
        return Native(native[-1])

    yield make
    for client in sync:
        client.close()
    for other in native:
        await other.aclose()
