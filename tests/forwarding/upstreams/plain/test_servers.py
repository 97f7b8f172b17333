"""Our own HTTP/1.1 client: which servers it speaks to, by name, address and certificate."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from router_backend.forwarding.upstreams import plain
from router_backend.forwarding.upstreams.http import ConnectTimeout, NotConnected
from router_backend.forwarding.upstreams.plain import PlainHTTP, is_plain
from tests.forwarding.upstreams.plain.serving import OK, body, serving


async def test_nobody_listens(client: PlainHTTP) -> None:
    with pytest.raises(NotConnected, match="Connect call failed") as refused:
        await client.post("http://127.0.0.1:9/v1", b"{}", {})
    assert not isinstance(refused.value, ConnectTimeout)
    with pytest.raises(NotConnected):
        await client.post("http://no-such-host.invalid/v1", b"{}", {})


@pytest.fixture
async def certificate(tmp_path: Path) -> tuple[Path, Path]:
    found, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    openssl = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"),
        *("-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(found)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await openssl.wait() == 0
    return found, key


async def test_tls_trusts_what_the_machine_trusts_and_no_other_name(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    plain.trusted.cache_clear()
    async with serving(OK, context) as server:
        for trusts in (False, True):
            if trusts:
                monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
                plain.trusted.cache_clear()
            client = PlainHTTP(5.0)
            for host in ("localhost", "127.0.0.1"):
                url = f"https://{host}:{server.port}/v1"
                if trusts and host == "localhost":
                    for _ in range(2):
                        response = await client.post(url, b"{}", {})
                        assert await body(response) == b"ok"
                        response.finish()
                else:
                    with pytest.raises(NotConnected, match="certificate"):
                        await client.post(url, b"{}", {})
            await client.aclose()
        assert len(server.requests) == 2
    plain.trusted.cache_clear()


@pytest.mark.parametrize(
    ("url", "ours"),
    [
        ("http://nim:8000/v1", True),
        ("https://api.example.com/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://user:word@nim:8000/v1", False),
    ],
)
def test_which_addresses_are_ours(url: str, ours: bool) -> None:
    assert is_plain(url) is ours


async def test_every_address_of_a_name_gets_its_share(client: PlainHTTP, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        served.append(writer.get_extra_info("sockname")[0])
        writer.write(OK.replace(b"\r\n", b"\r\nconnection: close\r\n", 1))
        writer.close()

    addresses = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]  # nobody listens at the last one
    servers = [await asyncio.start_server(handle, addresses[0], 0)]
    port = servers[0].sockets[0].getsockname()[1]
    servers.append(await asyncio.start_server(handle, addresses[1], port))

    async def named(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", named)
    for _ in range(12):
        response = await client.post(f"http://nim.llm:{port}/v1", b"{}", {})
        assert await body(response) == b"ok"
        response.finish()
    assert min(served.count(each) for each in addresses[:2]) >= 4
    for server in servers:
        server.close()
