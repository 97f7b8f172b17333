"""What the engine needs of an upstream, whatever protocol it speaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from router_backend.core.tracing import TraceContext
from router_backend.forwarding.request import Endpoint, NativeEndpoint


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one upstream; `body` is ready but for the upstream's own name of the model."""

    endpoint: Endpoint
    body: Mapping[str, Any]
    streamed: bool
    request_id: str = ""
    trace: TraceContext = field(default_factory=dict)
    native: NativeEndpoint | None = None  # in place of `endpoint`, where the upstream speaks the client's API
    headers: Mapping[str, str] = field(default_factory=dict)  # of the API
    size: int = 0  # bytes of the client's body


class Reply(Protocol):
    """An upstream's answer under way. Either `finish` or `cancel` ends it; both may be called again."""

    async def body(self) -> bytes:
        """The whole body of an answer that isn't streamed.

        Raises:
            Failure: the upstream ended or answered badly.
        """
        ...

    async def events(self) -> list[bytes]:
        """The data of the stream events that are there, at least one; an empty list is the end.

        Raises:
            Failure: the upstream ended or answered badly.
        """
        ...

    def finish(self) -> None:
        """The answer is complete: the connection may serve again."""
        ...

    def cancel(self) -> None:
        """Stop the upstream's work at once."""
        ...


class Upstream(Protocol):
    """One arm's server."""

    async def start(self, call: Call) -> Reply:
        """Send the request; returns when the upstream has begun to answer. Cancelling it cancels the call.

        Raises:
            Failure: no connection, or an answer that is an error.
        """
        ...

    async def aclose(self) -> None: ...
