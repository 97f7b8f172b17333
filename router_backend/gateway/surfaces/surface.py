"""What an API is to the rest of the gateway: how it is read, answered and refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from router_backend.core.errors import OpenAIError
from router_backend.forwarding.request import Endpoint, NativeEndpoint
from router_backend.gateway.schemas import Shape

Fields = dict[str, Any]


class Events(Protocol):
    """Makes an API's stream from the chunks of one chat answer."""

    def begin(self) -> Iterator[Fields]:
        """The events before any content."""
        ...

    def add(self, chunk: Mapping[str, Any]) -> Iterator[Fields]:
        """The events of one chunk."""
        ...

    def end(self) -> Iterator[Fields]:
        """The events after the last chunk of an answer that is complete."""
        ...

    def failed(self, error: Mapping[str, Any]) -> Iterator[Fields]:
        """The events that end an answer which failed. `error`: OpenAI's error object."""
        ...


@dataclass(frozen=True, slots=True)
class Codec:
    """Both ways between an API and chat."""

    request: Callable[[Fields], Fields]
    """The chat request that asks for the same. Raises ApiError (400), naming what chat can't say."""
    answer: Callable[[Fields, Fields], Fields]
    """The API's whole answer, from a whole chat answer and the client's request."""
    events: Callable[[Fields, str], Events]
    """The API's stream, for the client's request and the arm that answers."""


@dataclass(frozen=True, slots=True)
class Surface:
    """One endpoint of one API."""

    endpoint: Endpoint  # of the internal request
    shape: Shape  # of the client's body
    error: Callable[[OpenAIError, str], bytes] = lambda error, request_id: error.json()
    """An error's JSON, from the error and the request's id."""
    codec: Codec | None = None  # None: the body is the internal request
    native: NativeEndpoint | None = None  # where upstreams that speak the API take it
    kept: bool = False  # whether its answers may be stored
