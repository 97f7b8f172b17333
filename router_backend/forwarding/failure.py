"""What can go wrong while a request is forwarded: one call (`Failure`), or all of them (`ForwardError`)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from router_backend.core import errors
from router_backend.core.errors import Attempt, Cause, OpenAIError
from router_backend.core.jsonio import dump, load

_CONTEXT_LENGTH = re.compile(
    r"context.?(length|size|window)|max_model_len|maximum (input|prompt) length|too many (input |prompt )?tokens", re.I
)

_UNSUPPORTED = re.compile(r"\b(is|are|does|do) not support", re.I)
"""llama.cpp answers 500 to images and sounds that its model can't read: the request's fault, not the server's."""

_NO_MODEL = re.compile(
    r"(model|deployment|function)_?(is_)?(not_?found|not_?exist|unavailable)|(invalid|unknown|no_such)_model", re.I
)
"""Codes of servers that don't know the model: OpenAI, Azure (DeploymentNotFound), Groq, Mistral (invalid_model)."""


class Failure(Exception):
    """One failed call: why, and what a client would be told. The error's code is the cause, unless it has its own."""

    def __init__(self, cause: Cause, error: OpenAIError) -> None:
        super().__init__(error.message)
        self.cause = cause
        self.error = error if error.code else replace(error, code=cause.label)


class ForwardError(Exception):
    """No arm answered.

    `error` is for the client; `fallbacks` are the attempts, in their order.
    """

    def __init__(self, error: OpenAIError, fallbacks: Sequence[Attempt] = (), told: Attempt | None = None) -> None:
        """`told`: the attempt that `error` tells of; the last one, if none is named."""
        super().__init__(error.message)
        self.error, self.fallbacks = error, tuple(fallbacks)
        self._told = told or (self.fallbacks[-1] if self.fallbacks else None)

    @property
    def arm(self) -> str:
        """The one that the error tells of, and not one that was only passed over after it; empty if none was asked."""
        return self._told.arm if self._told else ""

    @property
    def cause(self) -> Cause | None:
        """Why that one gave no answer; None if none was asked."""
        return self._told.cause if self._told else None

    @property
    def tried(self) -> bool:
        """Whether an upstream worked on the request: then a caller that called again would multiply the load."""
        return any(attempt.cause.tried for attempt in self.fallbacks)


def no_answer(attempts: Sequence[Attempt]) -> ForwardError:
    """The error for the caller: a rate limit stays one, with the longest wait; otherwise the last failure counts.

    That an arm rests, or can't take the request, counts only if every arm does.
    """
    failed = [attempt for attempt in attempts if attempt.error]
    if not failed:
        error = OpenAIError("no model can take this request", 503, "overloaded_error", "no_candidates")
        return ForwardError(error, attempts)
    limited = [attempt for attempt in failed if attempt.error and attempt.error.status == 429]
    tried = [attempt for attempt in failed if attempt.cause.tried]
    resting = [attempt for attempt in failed if attempt.cause is errors.BREAKER_OPEN]
    told = (limited or tried or resting or failed)[-1]
    assert told.error
    waits = [each.error.retry_after for each in limited or failed if each.error and each.error.retry_after is not None]
    wait = None if not waits else max(waits) if limited else min(waits)
    wait = wait if told.error.status in (429, 503) else None
    return ForwardError(replace(told.error, retry_after=wait), attempts, told)


def timed_out(limit: str, seconds: float, arm: str, part: float | None = None) -> Failure:
    """A time limit ran out. `part`: of it, in seconds, where the rest is another arm's."""
    whose = f"its part ({part:.3g} s) of the" if part is not None else "the"
    message = f"{arm} exceeded {whose} {limit} limit of {seconds:g} s (timeouts.{limit})"
    return Failure(errors.timeout(limit), OpenAIError(message, 504, "timeout_error"))


def unusable(arm: str, what: str) -> Failure:
    """The upstream answered something that isn't the protocol."""
    return Failure(errors.INVALID_RESPONSE, OpenAIError(f"{arm} sent an unusable answer: {what}"))


def unreadable(what: str) -> Failure:
    """The request itself can't be sent to any upstream."""
    return Failure(errors.http(400), OpenAIError(what, 400, "invalid_request_error", "invalid_request"))


def cut(arm: str) -> Failure:
    """The upstream ended in the middle."""
    return Failure(errors.CUT, OpenAIError(f"{arm} closed the connection before the answer was complete"))


def from_status(arm: str, status: int, body: bytes, retry_after: float | None = None) -> Failure:
    """Classify an HTTP answer other than 200 by its status and its error object."""
    fields = error_object(body)
    message = _text(fields.get("message") or None) or body[:300].decode("utf-8", "replace").strip() or f"HTTP {status}"
    code, kind, param = _code(fields.get("code")), _text(fields.get("type")), _text(fields.get("param"))
    ours = param == "model" or _NO_MODEL.search(code or "") is not None  # router.yaml names the upstream's model
    if not ours and (status in errors.CLIENT_STATUSES or (status == 404 and param)):
        too_long = status in (400, 413, 422) and bool(
            _CONTEXT_LENGTH.search(f"{code or ''} {kind or ''}") or _CONTEXT_LENGTH.search(message)
        )
        cause = errors.CONTEXT_LENGTH if too_long else errors.http(status, earned=True)
        code = "context_length_exceeded" if too_long else code or "invalid_request"
        return Failure(cause, OpenAIError(message, status, "invalid_request_error", code, param))
    if status == 429:
        code = code or "rate_limit_exceeded"
        error = OpenAIError(message, 429, "rate_limit_error", code, retry_after=retry_after)
        return Failure(errors.RATE_LIMITED, error)
    if status in (401, 403):  # the router's own key: a client would take the status for its own key's
        message = f"{arm} refused the router's credentials (HTTP {status}); check api_key_env or api_key_file"
        return Failure(errors.UPSTREAM_AUTH, OpenAIError(message))
    if status == 501 or (status == 500 and _UNSUPPORTED.search(message)):
        error = OpenAIError(f"{arm}: {message}", 400, "invalid_request_error", code, param)
        return Failure(errors.UNSUPPORTED, error)
    if status >= 500 or status == 408:
        passed_on = status if status in (503, 504) else 502
        return Failure(errors.http(status), OpenAIError(f"{arm}: {message}", passed_on, retry_after=retry_after))
    text = f"{arm} answered HTTP {status}" + (f": {message}" if fields.get("message") else ", which is no answer")
    hint = "; check upstream.base_url and upstream.model" if status < 400 or status in (404, 405, 410) or ours else ""
    return Failure(errors.http(status, earned=False), OpenAIError(text + hint))


def error_answer(arm: str, answer: dict[str, Any]) -> Failure:
    """An error that came with status 200: in a stream, or instead of an answer."""
    fields = error_fields(answer)
    status = fields.get("code") if type(fields.get("code")) is int else fields.get("status")
    if type(status) is int and 400 <= status <= 599:
        return from_status(arm, status, dump({"error": fields}))
    return Failure(
        errors.UPSTREAM_ERROR,
        OpenAIError(
            f"{arm}: {_text(fields.get('message') or None) or 'error without a message'}",
            type=_text(fields.get("type")) or "api_error",
            code=_code(fields.get("code")),
            param=_text(fields.get("param")),
        ),
    )


def error_object(body: bytes) -> dict[str, Any]:
    """The error fields of OpenAI's, vLLM's and FastAPI's error bodies; empty if there are none."""
    try:
        data = load(body)
    except ValueError:
        return {}
    return error_fields(data) if isinstance(data, dict) else {}


def error_fields(data: dict[str, Any]) -> dict[str, Any]:
    """As `error_object`, of a body that is parsed."""
    error = data.get("error") or data
    if not isinstance(error, dict):
        return {"message": error if isinstance(error, str) else dump(error).decode()}
    if "message" not in error and "detail" in error:
        detail = error["detail"]
        return {"message": detail if isinstance(detail, str) else dump(detail).decode()}
    return error


def _code(value: Any) -> str | None:
    """Some servers repeat the HTTP status in place of a code."""
    return None if isinstance(value, int) or str(value).isdigit() else _text(value)


def _text(value: Any) -> str | None:
    try:
        return None if value is None else str(value)
    except RecursionError:  # nested too deeply
        return None
