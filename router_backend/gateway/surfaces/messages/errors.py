"""Errors in Anthropic's shape (https://docs.anthropic.com/en/api/errors)."""

from __future__ import annotations

from typing import Any

from router_backend.core.errors import OpenAIError
from router_backend.core.jsonio import dump

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def error_object(message: str, status: int) -> dict[str, Any]:
    """The event that ends a stream, and what an answer in its place holds."""
    kind = _TYPES.get(status) or ("api_error" if status >= 500 else "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": message}}


def error_body(error: OpenAIError, request_id: str) -> bytes:
    """An error in place of an answer."""
    return dump(error_object(error.message, error.status) | {"request_id": request_id})
