"""`python -m router_backend.triton.server.guard`: the embedded server's HTTP address, in front of its Unix socket.

tritonserver 2.51 dies of one hostile body (thousands of nested arrays, hundreds of thousands of chunks), which any web
page may send to loopback. So it listens on a socket that only its owner opens, where our gateway asks, too; what comes
here is bounded, parsed once, and passed on as one piece. A request of another site, or to a foreign host name (DNS
rebinding), is refused.
"""

from __future__ import annotations

import asyncio
import ipaddress
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import aiohttp
import orjson
import typer
from aiohttp import web

MAX_BODY_BYTES = 32 * 1024 * 1024
_JSON_LENGTH = "Inference-Header-Content-Length"
_HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length", "content-encoding")
)


def refusal(headers: Mapping[str, str], own_host: str) -> str:
    """Why a request may not come from where it comes from; empty if it may."""
    given = {name.lower(): value for name, value in headers.items()}
    host = urlsplit(f"//{given.get('host', '')}").hostname or ""
    if host not in ("localhost", own_host) and not _is_address(host):
        return f"the host name {host!r} isn't this server's: use its address"
    if given.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return "requests of other sites are refused"
    if "origin" in given and urlsplit(given["origin"]).netloc != given.get("host", ""):
        return "requests of other sites are refused"
    return ""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def check_body(body: bytes, json_length: str | None) -> None:
    """Refuse what the server's JSON parser would not survive.

    Raises:
        ValueError: the JSON part is none, or is nested deeper than orjson reads (1,024 levels).
    """
    if json_length is not None and not json_length.isdecimal():
        raise ValueError(f"{_JSON_LENGTH} must be a number")
    text = body if json_length is None else body[: int(json_length)]
    if not text.strip():
        return
    request = orjson.loads(text)
    # Triton's own word for it is "out of bounds index 0".
    if isinstance(request, dict) and not request.get("inputs", request):
        raise ValueError("it has no inputs: send text_input, messages or request")


_NOT_OURS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")  # what the client didn't say stays unsaid


class Guard:
    """One aiohttp application; every request is checked and passed on."""

    def __init__(self, socket: Path, own_host: str) -> None:
        self._socket, self._own_host = socket, own_host

    def application(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        app.cleanup_ctx.append(self._session_of)
        return app

    async def _session_of(self, app: web.Application) -> AsyncIterator[None]:
        # Triton waits at its exit for every connection to be closed.
        connector = aiohttp.UnixConnector(str(self._socket), force_close=True, limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(
            connector=connector, auto_decompress=False, timeout=timeout, skip_auto_headers=_NOT_OURS
        ) as session:
            self._session = session
            yield

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        if reason := refusal(request.headers, self._own_host):
            return _error(403, reason)
        try:
            body = await request.read()
            await asyncio.to_thread(check_body, body, request.headers.get(_JSON_LENGTH))
        except web.HTTPRequestEntityTooLarge:
            return _error(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
        except ValueError as error:
            return _error(400, f"the body isn't JSON that is read here: {error}")
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        try:
            async with self._session.request(
                request.method, f"http://triton{request.raw_path}", data=body or None, headers=headers
            ) as answer:
                kept = {name: value for name, value in answer.headers.items() if name.lower() not in _KEPT_BY_US}
                response = web.StreamResponse(status=answer.status, headers=kept)
                if answer.content_length is not None:
                    response.content_length = answer.content_length
                await response.prepare(request)
                async for piece in answer.content.iter_any():
                    await response.write(piece)
                await response.write_eof()
                return response
        except aiohttp.ClientConnectionError as error:
            return _error(503, f"Triton doesn't answer ({type(error).__name__})")


_KEPT_BY_US = _HOP_BY_HOP - {"content-encoding"}


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)


async def serve(host: str, port: int, socket: Path) -> None:
    """Until SIGTERM or SIGINT."""
    # A client that leaves ends the request to Triton, too.
    runner = web.AppRunner(Guard(socket, host).application(), handler_cancellation=True, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await runner.cleanup()


def main(
    host: Annotated[str, typer.Option(help="Address to listen on.")],
    port: Annotated[int, typer.Option(help="Port to listen on.")],
    socket: Annotated[Path, typer.Option(help="Unix socket of Triton's HTTP.")],
) -> None:
    """Guard Triton's HTTP."""
    asyncio.run(serve(host, port, socket))


if __name__ == "__main__":
    typer.run(main)
