"""Models found at servers, which clients may name beside the arms: asked for again and again, and offered while they are there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import aiohttp

from router_backend.config.discovery import Discovery
from router_backend.config.models import ModelConfig
from router_backend.core.jsonio import load
from router_backend.forwarding.upstreams.proxies import proxy_for
from router_backend.forwarding.upstreams.secrets import key_reader

_SECONDS = 10.0  # for a list
_MAX_BYTES = 4 * 1024 * 1024
MOST = 256
"""Models of one server: each costs memory, and a series in metrics."""
# Where servers say how long a prompt may be: vLLM and NIM, OpenRouter and this gateway, Groq, Mistral.
_WINDOWS = ("max_model_len", "context_length", "context_window", "max_context_length")
_log = logging.getLogger("llm_router.gateway")

Found = tuple[ModelConfig, ...]


class NoList(RuntimeError):
    """A server gave no list of models."""


class Discoverer:
    """Follows the servers of one configuration. A server that doesn't answer keeps what it had."""

    def __init__(self, servers: Sequence[Discovery], taken: Sequence[str], offer: Callable[[Found], None]) -> None:
        """`taken`: names that are arms; `offer` hears of all models, whenever they have changed."""
        self._servers, self._taken, self._offer = list(servers), frozenset(taken), offer
        self._by_server: dict[int, Found] = {}
        self._offered: Found = ()
        self._complained: set[int] = set()

    async def run(self) -> None:
        """Until cancelled."""
        timeout = aiohttp.ClientTimeout(_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
            for place in range(len(self._servers)):
                group.create_task(self._follow(session, place))

    async def _follow(self, session: aiohttp.ClientSession, place: int) -> None:
        server = self._servers[place]
        while True:
            await self._ask(session, place)
            await asyncio.sleep(server.seconds)

    async def _ask(self, session: aiohttp.ClientSession, place: int) -> None:
        server = self._servers[place]
        try:
            listed = await _listed(session, server)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, NoList) as error:
            if place not in self._complained:  # once, until it answers again
                _log.warning(
                    "models of %s can't be listed: %s", server.upstream.base_url, error or type(error).__name__
                )
                self._complained.add(place)
            return
        self._complained.discard(place)
        self._by_server[place] = _offered(server, listed)
        found: dict[str, ModelConfig] = {}
        for models in (self._by_server.get(at, ()) for at in range(len(self._servers))):
            for model in models:
                if model.name not in self._taken:
                    found.setdefault(model.name, model)  # of two servers the first in the file
        offered = tuple(found.values())
        if offered != self._offered:
            self._offer(offered)
            self._offered = offered


async def _listed(session: aiohttp.ClientSession, server: Discovery) -> list[Any]:
    upstream = server.upstream
    key = key_reader(upstream)()
    headers = {**upstream.headers, **({"authorization": f"Bearer {key}"} if key else {})}
    url = f"{upstream.base_url.rstrip('/')}/models"
    async with session.get(url, headers=headers, proxy=proxy_for(url), allow_redirects=False) as response:
        if response.status != 200:
            raise NoList(f"status {response.status}")
        body = await response.content.read(_MAX_BYTES + 1)
        while len(body) <= _MAX_BYTES and not response.content.at_eof():
            body += await response.content.read(_MAX_BYTES + 1 - len(body))
    if len(body) > _MAX_BYTES:
        raise NoList(f"the list has more than {_MAX_BYTES} bytes")
    listed = load(body)
    entries = listed.get("data") if isinstance(listed, dict) else listed  # Together's is a plain list
    if not isinstance(entries, list):
        raise NoList("no list of models")
    return entries


def _offered(server: Discovery, listed: Sequence[Any]) -> Found:
    models: list[ModelConfig] = []
    for entry in listed:
        name = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(name, str) or len(name) > _LONGEST_NAME or not server.offers(name):
            continue
        try:
            models.append(server.model(name, _window(entry)))
        except ValueError:
            _log.debug("a model of %s has a name that none can have here", server.upstream.base_url)
    if len(models) > MOST:
        _log.warning(
            "%s has %d models of %r, the first %d are offered",
            server.upstream.base_url,
            len(models),
            server.pattern,
            MOST,
        )
    return tuple(models[:MOST])


_LONGEST_NAME = 200


def _window(entry: Mapping[str, Any]) -> int | None:
    numbers = (entry.get(name) for name in _WINDOWS)
    return next((number for number in numbers if type(number) is int and number > 0), None)
