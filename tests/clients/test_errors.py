"""What a server says, as the error that a caller can act on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from llm_router_client import (
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RouterError,
    ServerError,
)
from llm_router_client.errors import from_gateway, from_triton


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, BadRequestError, False),
        (401, AuthenticationError, False),
        (403, PermissionDeniedError, False),
        (404, NotFoundError, False),
        (408, BadRequestError, True),
        (413, BadRequestError, False),
        (429, RateLimitError, True),
        (500, ServerError, False),
        (502, ServerError, True),
        (503, ServerError, True),
        (504, ServerError, True),
    ],
)
def test_each_status_has_its_class(status: int, kind: type[RouterError], retryable: bool) -> None:
    error = from_gateway(status, {}, {"error": {"message": "no"}})
    assert type(error) is kind
    assert (error.status, error.retryable) == (status, retryable)


@pytest.mark.parametrize(
    ("status", "hint", "retryable"), [(503, "false", False), (429, "FALSE", False), (400, "true", True)]
)
def test_the_servers_hint_decides_about_retries(status: int, hint: str, retryable: bool) -> None:
    assert from_gateway(status, {"x-should-retry": hint}, {"error": {}}).retryable is retryable


def test_everything_that_openais_error_says_is_kept() -> None:
    body = {"error": {"message": "The model 'x' does not exist", "type": "t", "param": "model", "code": "c"}}
    error = from_gateway(404, {"x-request-id": "r-1"}, body)
    assert (error.message, error.type, error.param, error.code, error.request_id) == (
        "The model 'x' does not exist", "t", "model", "c", "r-1",
    )  # fmt: skip
    assert str(error) == "The model 'x' does not exist (status 404, code c, param model, request r-1)"


@pytest.mark.parametrize("body", ["<html>Bad gateway</html>", "", [], {"error": "text"}, {"detail": "x"}, None])
def test_what_is_no_openai_error_is_still_an_error(body: object) -> None:
    error = from_gateway(502, {}, body)
    assert isinstance(error, ServerError)
    assert error.message


@pytest.mark.parametrize(("value", "seconds"), [("7", 7.0), ("0.5", 0.5), ("-3", 0.0), ("soon", None), ("", None)])
def test_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    assert from_gateway(429, {"retry-after": value}, {}).retry_after == seconds


def test_retry_after_as_a_date() -> None:
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    wait = from_gateway(429, {"retry-after": then}, {}).retry_after
    assert wait is not None
    assert 0 < wait <= 100


@pytest.mark.parametrize(
    ("status", "message", "kind", "told"),
    [
        (400, "NOT_FOUND: no decision 'x'", NotFoundError, (404, "not_found", "no decision 'x'")),
        (500, "INVALID_ARGUMENT: score", BadRequestError, (400, "invalid_argument", "score")),
        (500, "in ensemble 'route', INVALID_ARGUMENT: no", BadRequestError, (400, "invalid_argument", "no")),
        (503, "UNAVAILABLE: later", ServerError, (503, "unavailable", "later")),
        (500, "429: queue is full", RateLimitError, (429, None, "queue is full")),
        (400, "in ensemble 'llm_router', input beam_width=4", BadRequestError, (400, None, "input beam_width=4")),
        (500, "anything\nelse", ServerError, (500, None, "anything\nelse")),
    ],
)
def test_tritons_messages_begin_with_a_code(
    status: int, message: str, kind: type[RouterError], told: tuple[int, str | None, str]
) -> None:
    error = from_triton(status, message)
    assert type(error) is kind
    assert (error.status, error.code, error.message) == told


@pytest.mark.parametrize(
    ("message", "text", "seconds", "retryable"),
    [
        ("429: queue full (retry-after: 7)", "queue full", 7, True),
        ("429: too fast (retry-after: 7, should-retry: false)", "too fast", 7, False),
        ("502: no connection (should-retry: false)", "no connection", None, False),
        ("UNAVAILABLE: the store is down (retry-after: 1)", "the store is down", 1, True),
        ("503: resting ()", "resting ()", None, True),
        ("503: resting (retry-after: soon)", "resting (retry-after: soon)", None, True),
        ("503: (retry-after: 3) is what it said", "(retry-after: 3) is what it said", None, True),
    ],
)
def test_hints_at_the_end_of_tritons_messages(message: str, text: str, seconds: float | None, retryable: bool) -> None:
    for prefix in ("", "in ensemble 'llm_router', "):
        error = from_triton(500, prefix + message)
        assert (error.message, error.retry_after, error.retryable) == (text, seconds, retryable)
