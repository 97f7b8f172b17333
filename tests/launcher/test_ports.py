"""Ports and addresses, before anything starts."""

from __future__ import annotations

import socket

import pytest

from router_backend.core.addresses import is_loopback
from router_backend.launcher.ports import PortTaken, claim


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_only_this_machine_reaches_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", ""])
def test_anything_else_may_be_reached_from_outside(host: str) -> None:
    assert not is_loopback(host)


def test_port_0_takes_a_free_one() -> None:
    port = claim("127.0.0.1", 0, "--http-port")
    with socket.socket() as server:
        server.bind(("127.0.0.1", port))


def test_a_taken_port_is_named_with_flag_and_variable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"127\.0\.0\.1:{port} .* --gateway-port or LLM_ROUTER_GATEWAY_PORT"):
            claim("127.0.0.1", port, "--gateway-port")
