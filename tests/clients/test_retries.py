"""Which failures are tried again, and when."""

from __future__ import annotations

from typing import Any

import pytest

from llm_router_client import (
    NO_RETRIES,
    BadRequestError,
    ConnectionFailedError,
    RateLimitError,
    Retries,
    RouterError,
    ServerError,
    StreamError,
)
from llm_router_client.connect import SCHEMES
from tests.clients.conftest import Connect
from tests.support.running import free_port
from tests.support.scripted_upstream import Script, ScriptedUpstream


@pytest.mark.parametrize("call", ["chat", "text"])
@pytest.mark.parametrize("failure", [Script(status=503), Script(status=429), Script(drop=True)])
async def test_a_passing_failure_is_not_seen(
    connect: Connect, server: ScriptedUpstream, failure: Script, call: str
) -> None:
    server.script(failure, failure, Script())
    answer: Any = await getattr(connect(server.base_url), call)("hi")
    assert (answer if call == "text" else answer.text) == "Hello, world"
    assert len(server.requests) == 3


async def test_attempts_end(connect: Connect, server: ScriptedUpstream) -> None:
    server.script(Script(status=503))
    with pytest.raises(ServerError):
        await connect(server.base_url).chat("hi")
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (Script(status=400), BadRequestError),
        (Script(status=503, headers={"x-should-retry": "false"}), ServerError),
        (Script(status=429, headers={"x-should-retry": "false"}), RateLimitError),
        (Script(status=429, headers={"retry-after": "3600"}), RateLimitError),
    ],
    ids=["the request's own", "503 and told not to", "429 and told not to", "too long a wait"],
)
async def test_what_will_not_pass_is_told_at_once(
    connect: Connect, server: ScriptedUpstream, failure: Script, kind: type[RouterError]
) -> None:
    server.script(failure)
    with pytest.raises(kind):
        await connect(server.base_url).chat("hi")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "failure", [Script(cut_after=3), Script(done=False), Script(frames=[b'data: {"error": {"message": "gone"}}\n\n'])]
)
async def test_nothing_is_tried_again_after_the_first_byte(
    connect: Connect, server: ScriptedUpstream, failure: Script
) -> None:
    server.script(failure)
    with pytest.raises(StreamError):
        await connect(server.base_url).text("hi")
    assert len(server.requests) == 1


async def test_retries_can_be_turned_off(connect: Connect, server: ScriptedUpstream) -> None:
    server.script(Script(status=503))
    with pytest.raises(ServerError):
        await connect(server.base_url, retries=NO_RETRIES).chat("hi")
    assert len(server.requests) == 1


@pytest.mark.parametrize("scheme", ["http", "triton+http", "triton+grpc"])
@pytest.mark.parametrize("call", ["chat", "text", "route"])
async def test_where_nobody_listens_the_address_is_named(connect: Connect, scheme: str, call: str) -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(ConnectionFailedError, match=address):
        await getattr(connect(f"{scheme}://{address}"), call)("hi")


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://host", "triton://host:8001", "http://", ""])
def test_an_address_that_is_none_is_told_with_the_right_ones(connect: Connect, url: str) -> None:
    with pytest.raises(ValueError, match=r"triton\+grpc") as told:
        connect(url)
    assert all(scheme in str(told.value) for scheme in SCHEMES)


def test_waits_grow_and_stay_below_the_longest() -> None:
    retries = Retries(attempts=50, backoff=1.0, longest=4.0)
    error = ServerError("x", retryable=True)
    assert all(retries.pause(error, attempt) <= min(4.0, 2.0**attempt) for attempt in range(1, 50) for _ in range(20))


def test_the_servers_wait_is_kept() -> None:
    error = RateLimitError("x", retryable=True, retry_after=2.5)
    assert all(Retries().pause(error, attempt=1) >= 2.5 for _ in range(20))
