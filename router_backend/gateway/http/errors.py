"""Errors in OpenAI's shape: `{"error": {message, type, param, code}}`, all four keys always there."""

from __future__ import annotations

import math
from collections.abc import Sequence

from router_backend.core.errors import OpenAIError
from router_backend.forwarding.failure import ForwardError

Header = tuple[bytes, bytes]


class ApiError(Exception):
    """A request that the gateway itself turns away: the error for the client, and headers that belong to it."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        headers: Sequence[Header] = (),
    ) -> None:
        super().__init__(message)
        self.error, self.headers = OpenAIError(message, status, type, code, param, retry_after), headers


class ClientGone(Exception):
    """The client closed its connection: nobody reads an answer any more."""


def retry_after(error: OpenAIError) -> list[Header]:
    """The header that says when to come again, in whole seconds; none where the error doesn't know."""
    if error.retry_after is None:
        return []
    return [(b"retry-after", str(max(1, math.ceil(error.retry_after))).encode())]


def should_retry(error: ForwardError) -> list[Header]:
    """`x-should-retry`, which OpenAI's SDKs obey.

    Where the engine has called upstreams, a client that retried as well would multiply the load. A request that was
    turned away before any call (a full queue, an open breaker) may come again.
    """
    return [(b"x-should-retry", b"false")] if error.tried else []


def unknown_model(name: str, known: Sequence[str]) -> ApiError:
    return ApiError(
        404,
        f"The model {name[:100]!r} does not exist; use 'auto' or one of: {', '.join(known)}",
        code="model_not_found",
        param="model",
    )
