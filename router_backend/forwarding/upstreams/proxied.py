"""aiohttp's client: for upstreams behind a proxy, and for Bedrock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import aiohttp
from yarl import URL

from router_backend.forwarding.upstreams.connector import TolerantConnector
from router_backend.forwarding.upstreams.http import (
    KEEPALIVE_SECONDS,
    LINGER_BYTES,
    LINGER_SECONDS,
    MAX_HEADER_BYTES,
    READ_BYTES,
    ConnectTimeout,
    Ended,
    NotConnected,
)


def new_session(connect: float) -> aiohttp.ClientSession:
    """One session for all of an engine's upstreams that need it. Connections are limited by arm, not here."""
    return aiohttp.ClientSession(
        connector=TolerantConnector(limit=0, keepalive_timeout=KEEPALIVE_SECONDS),
        timeout=aiohttp.ClientTimeout(total=None, connect=connect),  # of the name, too: `sock_connect` begins after it
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=True,
        read_bufsize=256 * 1024,
    )


class ProxiedHTTP:
    """See `HTTPClient`."""

    def __init__(self, session: Callable[[], aiohttp.ClientSession], proxy: str | None) -> None:
        """`session`: the engine's, which stays its own; `proxy`: None where there is none."""
        self._session, self._proxy = session, proxy
        self._lingering: set[asyncio.Task[None]] = set()

    async def post(self, url: str | URL, data: bytes, headers: Mapping[str, str]) -> ProxiedResponse:
        """See `HTTPClient.post`."""
        try:
            response = await self._session().post(
                url, data=data, headers=headers, allow_redirects=False, proxy=self._proxy
            )
        except aiohttp.ConnectionTimeoutError as error:
            raise ConnectTimeout(str(error)) from error
        except aiohttp.ClientConnectorError as error:
            raise NotConnected(error.strerror or str(error)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise Ended(str(error)) from error
        return ProxiedResponse(response, self._lingering)

    async def aclose(self) -> None:
        """Ends connections that wait for the end of an answered request."""
        for task in tuple(self._lingering):
            task.cancel()
        await asyncio.gather(*self._lingering, return_exceptions=True)


class ProxiedResponse:
    """See `HTTPResponse`."""

    __slots__ = ("_lingering", "_response")

    def __init__(self, response: aiohttp.ClientResponse, lingering: set[asyncio.Task[None]]) -> None:
        self._response, self._lingering = response, lingering

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def content_type(self) -> str:
        """See `HTTPResponse.content_type`."""
        return self._response.content_type

    def header(self, name: str) -> str | None:
        """See `HTTPResponse.header`."""
        return self._response.headers.get(name)

    async def read(self) -> bytes:
        """See `HTTPResponse.read`."""
        try:
            return await self._response.content.read(READ_BYTES)
        except (aiohttp.ClientError, OSError) as error:
            raise Ended(str(error)) from error

    def finish(self) -> None:
        """See `HTTPResponse.finish`."""
        if self._response.content.at_eof():
            self._response.release()
        else:
            task = asyncio.get_running_loop().create_task(self._linger())
            self._lingering.add(task)
            task.add_done_callback(self._lingering.discard)

    def cancel(self) -> None:
        """See `HTTPResponse.cancel`."""
        self._response.close()

    async def _linger(self) -> None:
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                size = 0
                while size <= LINGER_BYTES and (part := await self._response.content.readany()):
                    size += len(part)
        except (aiohttp.ClientError, OSError):  # TimeoutError is an OSError
            pass
        finally:
            self._response.close() if not self._response.content.at_eof() else self._response.release()
