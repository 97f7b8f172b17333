"""All that is built from one configuration. A reload builds a new one; requests that run finish on the old."""

from __future__ import annotations

import asyncio
import contextlib

from router_backend.config.agreement import fingerprint
from router_backend.config.schema import RouterConfig
from router_backend.forwarding.cascade.engine import CascadeEngine
from router_backend.gateway.keys.auth import Keys, Rates
from router_backend.gateway.keys.budgets import Budgets


class Runtime:
    """Configuration, engine and keys, with a count of the requests that use them."""

    def __init__(self, config: RouterConfig, engine: CascadeEngine, rates: Rates, budgets: Budgets) -> None:
        self.config, self.engine, self.fingerprint = config, engine, fingerprint(config)
        self.keys = Keys(config.security.api_keys, rates, budgets)
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()

    def __enter__(self) -> Runtime:
        self._users += 1
        self._unused.clear()
        return self

    def __exit__(self, *_: object) -> None:
        self._users -= 1
        if not self._users:
            self._unused.set()

    async def retire(self, seconds: float) -> None:
        """Close the engine when nobody uses it any more, after `seconds` at the latest."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._unused.wait(), seconds)
        await self.engine.aclose()
