"""Triton's HTTP from outside: hostile bodies, web pages and foreign host names don't reach the server."""

from __future__ import annotations

import json
import socket
from contextlib import suppress

import httpx
import pytest

from tests.support.running import RunningSystem
from tests.system.test_triton_door import generate, servers


@pytest.mark.parametrize("nested", [b"[" * 160_000, b'{"text_input": ' + b"[" * 160_000, b'{"a":' * 100_000])
def test_a_nested_body_is_refused(system: RunningSystem, nested: bytes) -> None:
    before = servers(system)
    for path in ("route/infer", "llm_router/generate"):
        assert httpx.post(f"{system.triton}/v2/models/{path}", content=nested, timeout=60).status_code == 400
    assert servers(system) == before


def test_a_body_in_many_chunks_is_one_body(system: RunningSystem) -> None:
    before = servers(system)
    body = json.dumps({"text_input": "x" * 700_000}).encode()
    with socket.create_connection(("127.0.0.1", system.http_port)) as connection, suppress(OSError):
        connection.sendall(
            b"POST /v2/models/route/generate HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        connection.sendall(b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 ")
    assert servers(system) == before
    assert generate(system, "route", text_input="hi").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example", "Content-Type": "text/plain"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example"},
        {"Host": "evil.example", "Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
    ],
)
def test_other_sites_and_foreign_names_are_refused(system: RunningSystem, headers: dict[str, str]) -> None:
    url = f"{system.triton}/v2/models/route/generate"
    assert httpx.post(url, content=b'{"text_input": "hi"}', headers=headers, timeout=60).status_code == 403


@pytest.mark.parametrize("model", ["route", "llm_router", "llm_router_bls", "feedback"])
def test_a_request_without_inputs_says_so(system: RunningSystem, model: str) -> None:
    response = generate(system, model)
    assert response.status_code == 400
    assert "no inputs" in response.text
