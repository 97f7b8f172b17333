"""The async client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, TypeVar

from llm_router_client.connect import connect_async
from llm_router_client.errors import RouterError
from llm_router_client.requests import ChatRequest, Hints, Messages, Score
from llm_router_client.results import Completion, Decision, Reward
from llm_router_client.retries import Retries
from llm_router_client.stream import AsyncStream, no_answer

T = TypeVar("T")


class AsyncRouterClient:
    """As `RouterClient`, for one event loop. Cancelling a task that waits for a call cancels the request."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8080",
        *,
        api_key: str = "",
        timeout: float = 600.0,
        connect_timeout: float = 5.0,
        retries: Retries | None = None,
    ) -> None:
        self._transport = connect_async(url, api_key, timeout, connect_timeout)
        self._retries = retries or Retries()

    async def route(self, prompt: str | Messages, *, hints: Hints | None = None, **fields: Any) -> Decision:
        """The decision alone; no model is asked. `fields` such as `tools` count where they narrow the choice."""
        request = ChatRequest(prompt, hints=hints or Hints(), fields=fields)
        return await self._again(lambda: self._transport.route(request))

    async def chat(
        self, prompt: str | Messages, *, model: str = "auto", hints: Hints | None = None, **fields: Any
    ) -> Completion:
        """The whole answer. `fields` are those of OpenAI's request: `max_tokens`, `tools`, `response_format`, …"""
        request = ChatRequest(prompt, model, hints or Hints(), fields)
        return await self._again(lambda: self._transport.chat(request))

    async def stream(
        self, prompt: str | Messages, *, model: str = "auto", hints: Hints | None = None, **fields: Any
    ) -> AsyncStream:
        """The answer as it is made. Returns when the model's first byte is there."""
        request = ChatRequest(prompt, model, hints or Hints(), fields, streamed=True)
        return await self._again(lambda: self._open(request))

    async def feedback(
        self,
        decision_id: str,
        score: float,
        *,
        cost_usd: float | None = None,
        task: str = "",
        tags: Mapping[str, Any] | None = None,
    ) -> Reward:
        """Score an answer, 0 (bad) to 1 (good); when this returns, the score is stored for good."""
        given = Score(decision_id, score, cost_usd, task, tags or {})
        return await self._again(lambda: self._transport.feedback(given))

    async def decision(self, decision_id: str) -> Decision:
        """An earlier decision of this gateway, which keeps the last of them; `raw["answer"]` says what came of it."""
        return await self._again(lambda: self._transport.lookup(decision_id))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    async def __aenter__(self) -> AsyncRouterClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _open(self, request: ChatRequest) -> AsyncStream:
        source = self._transport.stream(request)
        try:
            first = await anext(source, None)
        except asyncio.CancelledError:
            await source.aclose()
            raise
        if first is None:
            raise no_answer()
        return AsyncStream(source, first)

    async def _again(self, call: Callable[[], Awaitable[T]]) -> T:
        attempt = 1
        while True:
            try:
                return await call()
            except RouterError as error:
                await asyncio.sleep(self._retries.pause(error, attempt))
                attempt += 1
