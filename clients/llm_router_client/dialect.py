"""The seam between HTTP and what is said over it: the gateway's dialect and Triton's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from llm_router_client.errors import RouterError
from llm_router_client.requests import ChatRequest, Score
from llm_router_client.results import Chunk, Completion, Decision, Reward


@dataclass(frozen=True)
class Call:
    """One request: a POST of JSON, or a GET where there is none."""

    path: str
    json: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Dialect(Protocol):
    """Requests to calls, bodies and events to results. Does no input or output."""

    ends_with_done: bool  # a stream without [DONE] is not whole

    def route(self, request: ChatRequest) -> Call: ...

    def chat(self, request: ChatRequest) -> Call: ...

    def feedback(self, score: Score) -> Call: ...

    def lookup(self, decision_id: str) -> Call:
        """ValueError where decisions can't be looked up."""
        ...

    def decision(self, body: Mapping[str, Any]) -> Decision: ...

    def completion(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> Completion: ...

    def reward(self, body: Mapping[str, Any], score: Score) -> Reward: ...

    def opened(self, headers: Mapping[str, str]) -> Decision | None:
        """The decision, where a stream's headers tell it already."""
        ...

    def event(self, event: Mapping[str, Any]) -> tuple[Decision | None, list[Chunk]]:
        """What one event of a stream says."""
        ...

    def error(self, status: int, headers: Mapping[str, str], text: str) -> RouterError: ...
