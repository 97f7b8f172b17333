"""What the client is told of a request that can't be put in Converse's words."""

from __future__ import annotations

from router_backend.core.errors import UNSUPPORTED, OpenAIError, http
from router_backend.forwarding.failure import Failure


def refusal(param: str, message: str, fallback: bool = False) -> Failure:
    """The request's own mistake (400). `fallback`: another arm may be able to do it."""
    code = "unsupported_parameter" if fallback else "invalid_value"
    error = OpenAIError(message, 400, "invalid_request_error", code, param)
    return Failure(UNSUPPORTED if fallback else http(400), error)
