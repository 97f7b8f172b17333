"""What can go wrong with one call of one upstream, and what may be done about it."""

from __future__ import annotations

import re
from typing import Any

import orjson

CLIENT_STATUSES = frozenset({400, 404, 409, 413, 415, 422})
"""Statuses that the request itself earned: another try or another arm would earn them too."""

_CONTEXT_LENGTH = re.compile(
    r"context.?(length|size|window)|max_model_len|maximum (input|prompt) length|too many (input |prompt )?tokens", re.I
)

_UNSUPPORTED = re.compile(r"\b(is|are|does|do) not support", re.I)
"""llama.cpp answers 500 to images and sounds that its model can't read: the request's fault, not the server's."""


class Failure(Exception):
    """One failed call.

    `cause` is a short label for logs, metrics and `Progress.fallbacks`. `retry`: the same arm may be tried again.
    `fallback`: another arm may be tried. `broken`: counts against the arm's circuit breaker. The rest is OpenAI's
    error object with its HTTP status.
    """

    def __init__(
        self,
        cause: str,
        message: str,
        *,
        status: int = 502,
        type: str = "api_error",
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        retry: bool = True,
        fallback: bool = True,
        broken: bool = True,
    ) -> None:
        super().__init__(message)
        self.cause, self.message, self.status, self.type = cause, message, status, type
        self.code, self.param, self.retry_after = code or cause, param, retry_after
        self.retry, self.fallback, self.broken = retry, fallback, broken


def timed_out(limit: str, seconds: float, arm: str) -> Failure:
    """A time limit ran out. Only a connection is worth a second try: a slow arm would be slow again."""
    return Failure(
        f"timeout_{limit}",
        f"{arm} exceeded the {limit} limit of {seconds:g} s (timeouts.{limit})",
        status=504,
        type="timeout_error",
        retry=limit == "connect",
    )


def unusable(arm: str, what: str) -> Failure:
    """The upstream answered something that isn't the protocol."""
    return Failure("invalid_response", f"{arm} sent an unusable answer: {what}")


def unreadable(what: str) -> Failure:
    """The request itself can't be sent to any upstream."""
    return Failure(
        "http_400",
        what,
        status=400,
        type="invalid_request_error",
        code="invalid_request",
        retry=False,
        fallback=False,
        broken=False,
    )


def cut(arm: str) -> Failure:
    """The upstream ended in the middle."""
    return Failure("cut", f"{arm} closed the connection before the answer was complete")


def from_status(arm: str, status: int, body: bytes, retry_after: float | None = None) -> Failure:
    """Classify an HTTP answer other than 200 by its status and its error object."""
    error = error_object(body)
    message = str(error.get("message") or body[:300].decode("utf-8", "replace").strip() or f"HTTP {status}")
    code, kind = _code(error.get("code")), _text(error.get("type"))
    if status in CLIENT_STATUSES:
        too_long = status in (400, 413, 422) and bool(
            _CONTEXT_LENGTH.search(f"{code or ''} {kind or ''}") or _CONTEXT_LENGTH.search(message)
        )
        return Failure(
            "context_length" if too_long else f"http_{status}",
            message,
            status=status,
            type="invalid_request_error",
            code="context_length_exceeded" if too_long else code or "invalid_request",
            param=_text(error.get("param")),
            retry=False,
            fallback=too_long,
            broken=False,
        )
    if status == 429:
        return Failure(
            "rate_limited",
            message,
            status=429,
            type="rate_limit_error",
            code=code or "rate_limit_exceeded",
            retry_after=retry_after,
            broken=False,
        )
    if status in (401, 403):  # the router's own key: a client would take the status for its own key's
        return Failure(
            "upstream_auth",
            f"{arm} refused the router's credentials (HTTP {status}); check api_key_env or api_key_file",
            retry=False,
        )
    if status == 501 or (status == 500 and _UNSUPPORTED.search(message)):
        return Failure(
            "unsupported",
            f"{arm}: {message}",
            status=400,
            type="invalid_request_error",
            code=code or "unsupported",
            param=_text(error.get("param")),
            retry=False,
            broken=False,
        )
    if status >= 500 or status == 408:
        passed_on = status if status in (503, 504) else 502
        return Failure(f"http_{status}", f"{arm}: {message}", status=passed_on, retry_after=retry_after)
    return Failure(
        f"http_{status}", f"{arm} answered HTTP {status}, which is no answer; check upstream.base_url", retry=False
    )


def from_error(arm: str, error: Any) -> Failure:
    """An error object that came with status 200: in a stream, or instead of an answer."""
    fields = error if isinstance(error, dict) else {"message": error}
    status = fields.get("code") if isinstance(fields.get("code"), int) else fields.get("status")
    if isinstance(status, int) and 400 <= status <= 599:
        return from_status(arm, status, orjson.dumps({"error": fields}))
    return Failure(
        "upstream_error",
        f"{arm}: {fields.get('message') or 'error without a message'}",
        type=_text(fields.get("type")) or "api_error",
        code=_code(fields.get("code")),
        param=_text(fields.get("param")),
    )


def error_object(body: bytes) -> dict[str, Any]:
    """The error fields of OpenAI's, vLLM's and FastAPI's error bodies; empty if there are none."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(data, dict):
        return {}
    error = data.get("error", data)
    if isinstance(error, str):
        return {"message": error}
    if not isinstance(error, dict):
        return {}
    if "message" not in error and "detail" in error:
        detail = error["detail"]
        return {"message": detail if isinstance(detail, str) else orjson.dumps(detail).decode()}
    return error


def error_json(message: str, type: str, param: str | None, code: str | None) -> bytes:
    """OpenAI's error object; all four keys, always."""
    return orjson.dumps({"error": {"message": message, "type": type, "param": param, "code": code}})


def _code(value: Any) -> str | None:
    """Some servers repeat the HTTP status in place of a code."""
    return None if isinstance(value, int) or str(value).isdigit() else _text(value)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
