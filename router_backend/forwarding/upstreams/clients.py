"""The HTTP clients of one engine, which all its upstreams share."""

from __future__ import annotations

import aiohttp

from router_backend.forwarding.upstreams.http import HTTPClient
from router_backend.forwarding.upstreams.plain import PlainHTTP, is_plain
from router_backend.forwarding.upstreams.proxied import ProxiedHTTP, new_session
from router_backend.forwarding.upstreams.proxies import proxy_for


class Clients:
    """Connections are made by the first request, in its loop."""

    def __init__(self, connect: float) -> None:
        """`connect`: seconds that a connection may take."""
        self._connect = connect
        self._plain = PlainHTTP(connect)
        self._session: aiohttp.ClientSession | None = None
        self._proxied: dict[str | None, ProxiedHTTP] = {}

    def to(self, url: str) -> HTTPClient:
        """The client for a server's address: our own, or aiohttp's where a proxy of the environment leads there."""
        proxy = proxy_for(url)
        return self._plain if proxy is None and is_plain(url) else self._by_library(proxy)

    def library(self, url: str) -> ProxiedHTTP:
        """aiohttp's client for it."""
        return self._by_library(proxy_for(url))

    async def aclose(self) -> None:
        """Close all connections, and with them the calls that still run."""
        await self._plain.aclose()
        for client in self._proxied.values():
            await client.aclose()
        if self._session:
            await self._session.close()

    def _by_library(self, proxy: str | None) -> ProxiedHTTP:
        if proxy not in self._proxied:
            self._proxied[proxy] = ProxiedHTTP(self._of_library, proxy)
        return self._proxied[proxy]

    def _of_library(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = new_session(self._connect)
        return self._session
