"""The seam between the forwarding engine and its two users, the gateway and Triton's `forwarder`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from router_backend.config.policy import CascadeConfig
from router_backend.core.errors import Attempt, Cause
from router_backend.core.records import Usage
from router_backend.core.tracing import TraceContext

Endpoint = Literal["chat/completions", "completions", "embeddings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardRequest:
    """One request to forward; the body is the client's and is never changed."""

    body: Mapping[str, Any]
    arms: Sequence[str]  # best first; a named request has exactly one and never falls back
    endpoint: Endpoint = "chat/completions"
    named: bool = False
    task: str = ""  # for max_tokens caps
    request_id: str = ""
    trace: TraceContext = field(default_factory=dict)  # told to the upstream
    cascade: CascadeConfig | None = None  # ask the arms in order until an answer is good enough


@dataclass(slots=True)
class Progress:
    """What is known of an answer so far; final when the answer has ended."""

    arm: str
    started: float  # time.monotonic()
    status: int = 200
    usage: Usage = field(default_factory=Usage)
    usage_known: bool = False
    finish_reason: str = ""
    first_token: float | None = None  # seconds after `started`
    latency: float | None = None  # seconds; None while it runs
    attempts: int = 1
    fallbacks: tuple[Attempt, ...] = ()  # arms that were asked before `arm`
    error: Cause | None = None  # of a failure after the first byte
    discarded: tuple[
        tuple[str, Usage], ...
    ] = ()  # a cascade's other answers and its judge: (arm, usage); they cost, too


class Answer(Protocol):
    """An upstream's answer. Leaving it (`aclose`) at any time cancels the upstream call."""

    progress: Progress

    @property
    def streamed(self) -> bool: ...

    async def body(self) -> bytes:
        """Whole JSON body of an answer that isn't streamed; `model` in it is the arm that answered."""
        ...

    def frames(self) -> AsyncIterator[bytes]:
        """Complete SSE frames, ready to be sent on (one or several frames a piece), `data: [DONE]` included.

        A failure after the first byte is an error frame and the end, without [DONE]; it is told in `progress.error`.
        """
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The same as `frames`, but the JSON of one chunk at a time, without SSE framing and [DONE]."""
        ...

    async def aclose(self) -> None: ...


class Engine(Protocol):
    """Sends a request to the first arm that answers. One per process and event loop."""

    async def forward(self, request: ForwardRequest) -> Answer:
        """Returns when the first byte (streamed) or the whole answer is there.

        Raises:
            ForwardError: no arm answered; carries the HTTP status, OpenAI's error fields and retry-after.
        """
        ...

    def health(self) -> Mapping[str, str]:
        """Breaker state by arm: closed, open, half_open."""
        ...

    async def aclose(self) -> None: ...
