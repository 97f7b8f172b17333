"""Errors in OpenAI's shape: `{"error": {message, type, param, code}}`, all four keys always there."""

from __future__ import annotations

import math
from collections.abc import Sequence

import orjson

from router_backend.forwarding.api import ForwardError

Header = tuple[bytes, bytes]


class ApiError(Exception):
    """An answer other than success; everything that a client is told about it."""

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
        self.status, self.message, self.type, self.code, self.param = status, message, type, code, param
        self.headers: list[Header] = list(headers)
        if retry_after is not None:
            self.headers.append((b"retry-after", str(max(1, math.ceil(retry_after))).encode()))

    def body(self) -> bytes:
        fields = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return orjson.dumps({"error": fields})


class ClientGone(Exception):
    """The client closed its connection: nobody reads an answer any more."""


def from_forwarding(error: ForwardError) -> ApiError:
    """An engine's failure as the client sees it.

    Where the engine has called upstreams, a client that retried as well would multiply the load: OpenAI's SDKs obey
    `x-should-retry`. A request that was turned away before any call (a full queue, an open breaker) may come again.
    """
    return ApiError(
        error.status,
        error.message,
        type=error.type,
        code=error.code,
        param=error.param,
        retry_after=error.retry_after,
        headers=[(b"x-should-retry", b"false")] if error.tried else [],
    )


def unknown_model(name: str, known: Sequence[str]) -> ApiError:
    return ApiError(
        404,
        f"The model {name[:100]!r} does not exist; use 'auto' or one of: {', '.join(known)}",
        code="model_not_found",
        param="model",
    )
