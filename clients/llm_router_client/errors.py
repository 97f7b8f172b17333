"""Errors by what a caller can do about them. Their names are those of OpenAI's SDK where the cases are the same."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

_RETRIED = frozenset({408, 429, 502, 503, 504})
_MODEL_CODES = {"NOT_FOUND": 404, "INVALID_ARGUMENT": 400, "UNAVAILABLE": 503}
_MODEL_ERROR = re.compile(r"(?:in ensemble '\w+', )?(?:(NOT_FOUND|INVALID_ARGUMENT|UNAVAILABLE|[45]\d\d): )?(.*)", re.S)
_HINTS = re.compile(r" \((?=[rs])(?:retry-after: (?P<seconds>\d{1,9}))?(?:, )?(?P<never>should-retry: false)?\)$")


class RouterError(Exception):
    """Any failure of a call.

    `status` is the HTTP status (over gRPC its counterpart), 0 when no answer came. `code`, `type` and `param` are those
    of OpenAI's error object. `retry_after` is in seconds. `retryable`: the same request may succeed later.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        code: str | None = None,
        type: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.message, self.status, self.code, self.type, self.param = message, status, code, type, param
        self.request_id, self.retry_after, self.retryable = request_id, retry_after, retryable

    def __str__(self) -> str:
        about = {"status": self.status or None, "code": self.code, "param": self.param, "request": self.request_id}
        told = ", ".join(f"{name} {value}" for name, value in about.items() if value)
        return f"{self.message} ({told})" if told else self.message


class ConnectionFailedError(RouterError):
    """The server can't be reached, or closed the connection without an answer."""


class RequestTimeoutError(RouterError):
    """The answer took longer than the client's `timeout`."""


class BadRequestError(RouterError):
    """400, 413, 422, …: the request has to be changed."""


class AuthenticationError(RouterError):
    """401: no API key, or an unknown one."""


class PermissionDeniedError(RouterError):
    """403: the API key lacks a scope."""


class NotFoundError(RouterError):
    """404: no such model or decision."""


class RateLimitError(RouterError):
    """429: a rate or a budget is used up, or a queue is full."""


class ServerError(RouterError):
    """5xx: the router or the model behind it failed."""


class StreamError(RouterError):
    """An answer broke off after its first byte; what came before it is not the whole answer."""


_CLASSES = {401: AuthenticationError, 403: PermissionDeniedError, 404: NotFoundError, 429: RateLimitError}


def class_for(status: int) -> type[RouterError]:
    return _CLASSES.get(status) or (ServerError if status >= 500 else BadRequestError)


def from_gateway(status: int, headers: Mapping[str, str], body: Any) -> RouterError:
    """The gateway's error, or one of a proxy before it. `body` is parsed JSON, or text where it was none."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        error = {"message": str(body)[:500] or f"HTTP {status}"}
    hint = headers.get("x-should-retry", "").lower()
    return class_for(status)(
        str(error.get("message") or f"HTTP {status}"),
        status=status,
        code=None if error.get("code") is None else str(error["code"]),
        type=error.get("type"),
        param=error.get("param"),
        request_id=headers.get("x-request-id"),
        retry_after=_seconds(headers.get("retry-after", "")),
        retryable=hint == "true" or (hint != "false" and status in _RETRIED),
    )


def from_triton(status: int, message: str) -> RouterError:
    """Triton's error. The models begin their messages with a code that says more than `status`, and end them with hints."""
    found = _MODEL_ERROR.fullmatch(message)
    code, text = found.groups() if found else (None, message)
    text, wait, told_not_to = _hints(text)
    if code:
        status = _MODEL_CODES.get(code) or int(code)
    name = code.lower() if code in _MODEL_CODES else None
    retryable = status in _RETRIED and not told_not_to
    return class_for(status)(text, status=status, code=name, retry_after=wait, retryable=retryable)


def _hints(text: str) -> tuple[str, float | None, bool]:
    """The message without its hints, seconds to wait, whether to call again would be wrong."""
    found = _HINTS.search(text)
    if not found:
        return text, None, False
    seconds = found["seconds"]
    return text[: found.start()], float(seconds) if seconds else None, found["never"] is not None


def _seconds(value: str) -> float | None:
    """`retry-after` in either of its forms (RFC 9110, section 10.2.3)."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
