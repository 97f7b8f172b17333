"""Our own HTTP/1.1 client for upstreams: framing, limits, reuse of connections, TLS. Servers are sockets that write what a test says."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from router_backend.core.http import connection
from router_backend.forwarding.upstreams import http, plain
from router_backend.forwarding.upstreams.http import ConnectTimeout, Ended, NotConnected, Unusable
from router_backend.forwarding.upstreams.plain import PlainHTTP, PlainResponse, head_lines, is_plain

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Server:
    """Reads whole requests; `serve` answers each, told how many its connection has had before."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.gone = asyncio.Event()  # a client has closed its connection

    async def start(self, serve: Serve, tls: ssl.SSLContext | None = None) -> None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            count = 0
            try:
                while head := await reader.readuntil(b"\r\n\r\n"):
                    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                    self.requests.append(head + await reader.readexactly(length))
                    await serve(reader, writer, count)
                    count += 1
            except (asyncio.IncompleteReadError, ConnectionError):
                self.gone.set()
            finally:
                writer.close()

        self._server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/chat/completions"

    def close(self) -> None:
        self._server.close()


@asynccontextmanager
async def serving(serve: Serve | bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """A server that does that, or writes these bytes."""

    async def writes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        assert isinstance(serve, bytes)
        writer.write(serve)
        await writer.drain()

    server = Server()
    await server.start(writes if isinstance(serve, bytes) else serve, tls)
    yield server
    server.close()


@pytest.fixture
async def client() -> AsyncIterator[PlainHTTP]:
    made = PlainHTTP(5.0)
    yield made
    await made.aclose()


async def body(response: PlainResponse) -> bytes:
    parts = []
    while part := await response.read():
        parts.append(part)
    return b"".join(parts)


async def ask(client: PlainHTTP, server: Server) -> bytes:
    response = await client.post(server.url, b"{}", {})
    found = await body(response)
    response.finish()
    return found


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (OK, b"ok"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\nx: y\r\n\r\n", b"ok"),
        (b"HTTP/1.1 100 Continue\r\na: b\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b""),
    ],
    ids=["length", "chunks", "1xx", "204", "empty"],
)
async def test_a_body_ends_where_its_framing_says_and_the_connection_serves_again(
    client: PlainHTTP, answer: bytes, found: bytes
) -> None:
    async with serving(answer) as server:
        assert [await ask(client, server) for _ in range(3)] == [found] * 3
        assert server.connections == 1


async def test_an_answer_may_come_byte_by_byte(client: PlainHTTP) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n":
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)

    async with serving(serve) as server:
        assert [await ask(client, server) for _ in range(2)] == [b"ok"] * 2
        assert server.connections == 1


async def test_a_body_without_a_length_ends_with_its_connection(client: PlainHTTP) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nok")
        writer.close()

    async with serving(serve) as server:
        assert [await ask(client, server) for _ in range(2)] == [b"ok"] * 2
        assert server.connections == 2


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ],
    ids=["nothing", "head", "length", "chunks", "ssh", "upgrade", "two lengths", "length and chunks"],
)
async def test_what_breaks_off_or_is_no_answer_is_no_answer(client: PlainHTTP, sent: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        writer.write(sent)
        writer.close()

    async with serving(serve) as server:
        with pytest.raises(Ended):
            await ask(client, server)
        assert len(server.requests) == 1  # it may have been worked on: whether to ask again is the engine's to say


async def test_what_came_before_the_end_is_handed_out_first(client: PlainHTTP) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbegin")
        await writer.drain()
        writer.close()

    async with serving(serve) as server:
        response = await client.post(server.url, b"{}", {})
        assert await response.read() == b"begin"
        with pytest.raises(Ended):
            await response.read()
        response.cancel()


async def test_a_connection_that_the_server_closed_meanwhile_isnt_used(client: PlainHTTP) -> None:
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        writer.write(OK)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        closed.set()

    async with serving(serve) as server:
        for _ in range(3):
            assert await ask(client, server) == b"ok"
            await closed.wait()
            closed.clear()
            for _ in range(3):  # the end reaches us
                await asyncio.sleep(0.01)
        assert server.connections == 3


async def test_an_idle_connection_ends_by_itself(client: PlainHTTP, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "KEEPALIVE_SECONDS", 0.01)
    async with serving(OK) as server:
        assert await ask(client, server) == b"ok"
        async with asyncio.timeout(20):
            await server.gone.wait()
        assert await ask(client, server) == b"ok"
        assert server.connections == 2


async def test_the_rest_of_an_answer_that_nobody_reads_is_waited_for(client: PlainHTTP) -> None:
    ends = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n")
        await ends.wait()
        writer.write(b"0\r\n\r\n")

    async with serving(serve) as server:
        response = await client.post(server.url, b"{}", {})
        assert await response.read() == b"ok"
        response.finish()
        ends.set()
        async with asyncio.timeout(20):
            while not any(pool._idle for pool in client._pools.values()):
                await asyncio.sleep(0.001)
        assert await ask(client, server) == b"ok"
        assert server.connections == 1


@pytest.mark.parametrize("limit", ["bytes", "seconds"])
async def test_an_end_that_doesnt_come_costs_the_connection(
    client: PlainHTTP, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(plain, "LINGER_SECONDS", 0.01 if limit == "seconds" else 60.0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n")
        while limit == "bytes":
            writer.write(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
            await writer.drain()
        await reader.read()
        raise ConnectionError

    async with serving(serve) as server:
        response = await client.post(server.url, b"{}", {})
        assert (await response.read())[:2] == b"ok"
        response.finish()
        async with asyncio.timeout(20):
            await server.gone.wait()


async def test_a_call_that_is_given_up_ends_at_the_server(client: PlainHTTP) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        await reader.read()
        raise ConnectionError

    async with serving(serve) as server:
        call = asyncio.create_task(client.post(server.url, b"{}", {}))
        async with asyncio.timeout(20):
            while not server.requests:
                await asyncio.sleep(0.001)
            call.cancel()
            await server.gone.wait()


async def test_a_server_is_read_no_faster_than_its_answer_is(client: PlainHTTP) -> None:
    written, piece = 0, b"x" * 65536

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (1024 * len(piece)))
        for _ in range(1024):
            writer.write(piece)
            await writer.drain()
            written += 1

    async with serving(serve) as server:
        response = await client.post(server.url, b"{}", {})
        async with asyncio.timeout(20):
            before = -1
            while written != before:  # until nothing moves any more
                before = written
                for _ in range(20):
                    await asyncio.sleep(0.005)
        assert written < 1024
        assert response._response._size <= connection._HIGH + 2**20
        assert len(await body(response)) == 1024 * len(piece)
        response.finish()


async def test_reads_are_bounded_and_small_chunks_come_together(client: PlainHTTP) -> None:
    chunks = b"".join(b"1\r\n%c\r\n" % (97 + at % 26) for at in range(1000)) + b"20000\r\n" + b"z" * 0x20000 + b"\r\n"
    async with serving(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n") as server:
        response = await client.post(server.url, b"{}", {})
        sizes = []
        while part := await response.read():
            sizes.append(len(part))
        assert sum(sizes) == 1000 + 0x20000
        assert max(sizes) <= http.READ_BYTES
        assert len(sizes) < 30
        response.finish()


@pytest.mark.parametrize("line", [b"x: " + b"y" * 1000 + b"\r\n", b"x" * 1000], ids=["lines", "one line"])
@pytest.mark.parametrize("where", ["head", "trailers"])
async def test_a_head_has_a_size_and_what_follows_a_body_too(client: PlainHTTP, line: bytes, where: str) -> None:
    begin = b"HTTP/1.1 200 OK\r\n" if where == "head" else OK.partition(b"content-length")[0]
    begin += b"" if where == "head" else b"transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        writer.write(begin)
        while True:
            writer.write(line)
            await writer.drain()

    async with serving(serve) as server:
        with pytest.raises(Ended):
            await ask(client, server)
        async with asyncio.timeout(20):
            await server.gone.wait()


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP"])
async def test_what_is_packed_unasked_is_unpacked(client: PlainHTTP, coding: str) -> None:
    data = b"text, " * 50_000
    packed = gzip.compress(data)
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: %s\r\ncontent-length: %d\r\n\r\n" % (coding.encode(), len(packed))
    async with serving(head + packed) as server:
        assert await ask(client, server) == data
    cut = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 20\r\n\r\n" + packed[:20]
    async with serving(cut) as server:
        with pytest.raises(Ended):
            await ask(client, server)


@pytest.mark.parametrize("coding", [b"br", b"gzip, gzip"])
async def test_what_cant_be_unpacked_is_told(client: PlainHTTP, coding: bytes) -> None:
    async with serving(b"HTTP/1.1 200 OK\r\ncontent-encoding: %s\r\ncontent-length: 2\r\n\r\nok" % coding) as server:
        with pytest.raises(Unusable, match="content-encoding"):
            await ask(client, server)


async def test_no_header_makes_another_line(client: PlainHTTP) -> None:
    for value in ("a\r\nb: c", "a\nb", "a\rb", "a\0b"):
        with pytest.raises(ValueError, match="end of line"):
            head_lines({"x": value}, 0)
    async with serving(OK) as server:
        response = await client.post(server.url, b"{}", {"x": "y", "authorization": "Bearer k"})
        response.finish()
        head = server.requests[0].partition(b"\r\n\r\n")[0].split(b"\r\n")
        assert head[0] == b"POST /v1/chat/completions HTTP/1.1"
        assert head[1] == b"host: 127.0.0.1:%d" % server.port
        assert b"content-length: 2" in head
        assert b"authorization: Bearer k" in head


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


async def test_hundreds_of_answers_at_once(client: PlainHTTP) -> None:
    arrived, go = 0, asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        nonlocal arrived
        arrived += 1
        if arrived == 300:
            go.set()
        await go.wait()
        writer.write(OK)

    async with serving(serve) as server:
        async with asyncio.timeout(60):
            assert await asyncio.gather(*(ask(client, server) for _ in range(300))) == [b"ok"] * 300
            assert await asyncio.gather(*(ask(client, server) for _ in range(300))) == [b"ok"] * 300
        assert server.connections == 300


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


async def test_closing_ends_what_still_runs(client: PlainHTTP) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbegin")
        await reader.read()

    async with serving(serve) as server:
        response = await client.post(server.url, b"{}", {})
        assert await response.read() == b"begin"
        await client.aclose()
        with pytest.raises(Ended):
            await response.read()
