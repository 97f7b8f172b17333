"""The seam between the clients and the ways to a server. A transport makes one attempt; retries are the clients'."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from typing import Protocol

from llm_router_client.reading import Opened
from llm_router_client.requests import ChatRequest, Score
from llm_router_client.results import Completion, Decision, Reward


@dataclass(frozen=True)
class Server:
    """Where a transport goes. Times are seconds."""

    url: str
    headers: dict[str, str]
    timeout: float  # of a whole call
    connect_timeout: float


class Transport(Protocol):
    """All methods raise RouterError for any failure."""

    def route(self, request: ChatRequest) -> Decision: ...

    def chat(self, request: ChatRequest) -> Completion: ...

    def stream(self, request: ChatRequest) -> Generator[Opened, None, None]:
        """The decision comes with the first item. Closing the generator closes the call."""
        ...

    def feedback(self, score: Score) -> Reward: ...

    def lookup(self, decision_id: str) -> Decision: ...

    def close(self) -> None: ...


class AsyncTransport(Protocol):
    """As `Transport`."""

    async def route(self, request: ChatRequest) -> Decision: ...

    async def chat(self, request: ChatRequest) -> Completion: ...

    def stream(self, request: ChatRequest) -> AsyncGenerator[Opened, None]: ...

    async def feedback(self, score: Score) -> Reward: ...

    async def lookup(self, decision_id: str) -> Decision: ...

    async def aclose(self) -> None: ...
