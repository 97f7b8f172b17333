"""A request to forward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from router_backend.core.errors import OpenAIError
from router_backend.core.tracing import TraceContext
from router_backend.forwarding.guards.breaker import Caller
from router_backend.forwarding.guards.limiter import Slot
from router_backend.forwarding.progress import Expense, Progress

Endpoint = Literal["chat/completions", "completions", "embeddings"]
NativeEndpoint = Literal["responses", "messages"]


@dataclass(frozen=True, slots=True)
class Native:
    """The request in the words of its client's API, for upstreams that speak it."""

    endpoint: NativeEndpoint
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)  # of that API
    refusal: OpenAIError | None = None  # why no other upstream can take it; None: the chat request asks for the same


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardRequest:
    """One request to forward; the body is the client's and is never changed."""

    body: Mapping[str, Any]
    arms: Sequence[str]  # best first; a named request has exactly one and never falls back
    endpoint: Endpoint = "chat/completions"
    native: Native | None = None  # None: clients speak `endpoint` itself
    named: bool = False
    task: str = ""  # for max_tokens caps
    client: str = ""  # the key's name, or the client's address; never a text of the request
    request_id: str = ""
    trace: TraceContext = field(default_factory=dict)  # of the caller, for the upstream
    size: int = 0  # bytes of the client's body; a large one is written off the loop
    discarded: list[Progress] = field(
        default_factory=list
    )  # so far: what failed in its middle, a cascade's answers and its judge's
    reserved: dict[str, Slot] = field(
        default_factory=dict
    )  # places that were taken for it, by arm; the first call there has it
    left: list[Progress] = field(default_factory=list)  # the call that was running when the client left

    @property
    def caller(self) -> Caller:
        """Who failures of this request are evidence of, besides the upstream."""
        return Caller(self.client, hash((self.endpoint, frozenset(self.body))))

    @property
    def spent(self) -> tuple[Expense, ...]:
        """What `discarded` costs: it has to be paid also when the client left, or nobody answered."""
        return tuple(Expense(progress.arm, progress.usage) for progress in self.discarded)
