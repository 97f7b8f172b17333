"""The sync client."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, TypeVar

from llm_router_client.connect import connect
from llm_router_client.errors import RouterError
from llm_router_client.requests import ChatRequest, Hints, Messages, Score
from llm_router_client.results import Completion, Decision, Reward
from llm_router_client.retries import Retries
from llm_router_client.stream import Stream, no_answer

T = TypeVar("T")


class RouterClient:
    """Decisions, answers and feedback, over the gateway or over Triton. Threads may share one.

    `url` says which way:

    - `http://host:8080`, the gateway;
    - `triton+grpc://host:8001`, Triton's gRPC (needs `llm-router-client[grpc]`);
    - `triton+http://host:8000`, Triton's generate endpoints.

    Each has a TLS form (`https`, `triton+grpcs`, `triton+https`). `timeout` is the limit in seconds of one call from
    its sending to its last byte, `connect_timeout` that of a connection over HTTP.

    All calls raise RouterError, or ValueError for an argument without a meaning.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8080",
        *,
        api_key: str = "",
        timeout: float = 600.0,
        connect_timeout: float = 5.0,
        retries: Retries | None = None,
    ) -> None:
        self._transport = connect(url, api_key, timeout, connect_timeout)
        self._retries = retries or Retries()

    def route(self, prompt: str | Messages, *, hints: Hints | None = None, **fields: Any) -> Decision:
        """The decision alone; no model is asked. `fields` such as `tools` count where they narrow the choice."""
        request = ChatRequest(prompt, hints=hints or Hints(), fields=fields)
        return self._again(lambda: self._transport.route(request))

    def chat(
        self, prompt: str | Messages, *, model: str = "auto", hints: Hints | None = None, **fields: Any
    ) -> Completion:
        """The whole answer. `fields` are those of OpenAI's request: `max_tokens`, `tools`, `response_format`, …"""
        request = ChatRequest(prompt, model, hints or Hints(), fields)
        return self._again(lambda: self._transport.chat(request))

    def stream(
        self, prompt: str | Messages, *, model: str = "auto", hints: Hints | None = None, **fields: Any
    ) -> Stream:
        """The answer as it is made. Returns when the model's first byte is there."""
        request = ChatRequest(prompt, model, hints or Hints(), fields, streamed=True)
        return self._again(lambda: self._open(request))

    def feedback(
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
        return self._again(lambda: self._transport.feedback(given))

    def decision(self, decision_id: str) -> Decision:
        """An earlier decision of this gateway, which keeps the last of them; `raw["answer"]` says what came of it."""
        return self._again(lambda: self._transport.lookup(decision_id))

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def __enter__(self) -> RouterClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _open(self, request: ChatRequest) -> Stream:
        source = self._transport.stream(request)
        first = next(source, None)
        if first is None:
            raise no_answer()
        return Stream(source, first)

    def _again(self, call: Callable[[], T]) -> T:
        attempt = 1
        while True:
            try:
                return call()
            except RouterError as error:
                time.sleep(self._retries.pause(error, attempt))
                attempt += 1
