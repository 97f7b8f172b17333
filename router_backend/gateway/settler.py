"""Tells the store what was taken of the rates that all gateways share, and hears what is left; no request waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from router_backend.gateway.keys.rates import ASK_SECONDS, CALL_SECONDS, SETTLE_SECONDS, Rates
from router_backend.gateway.router_host import HostError, RouterHost
from router_backend.state.rates import Draw

_PAUSE = 1.0  # seconds between tries
_log = logging.getLogger("llm_router.gateway")


class RateSettler:
    """One call at a time carries all that was taken since the last one."""

    def __init__(
        self,
        rates: Rates,
        router: RouterHost,
        limits: Callable[[], Mapping[str, int]],
        gateway: str,
        on_away: Callable[[bool], object],
    ) -> None:
        """`limits`: per minute, by the name of the bucket, of the configuration in use; `gateway`: this one's name among all;
        `on_away` hears whether the store is away."""
        self._rates, self._router, self._limits, self._gateway, self._on_away = rates, router, limits, gateway, on_away

    async def run(self) -> None:
        while True:
            pause = SETTLE_SECONDS
            if self._limits():
                if not await self.settle():
                    pause = _PAUSE
                self._on_away(self._rates.away)
            else:
                self._on_away(False)
            await asyncio.sleep(pause)

    async def settle(self) -> bool:
        """Tell what there is to tell; False if the store didn't take it."""
        uses = self._rates.begin(self._limits())
        # A gateway that takes nothing says that it is there.
        if not uses and self._rates.heard < ASK_SECONDS:
            return True
        try:
            levels = await self._router.draw(Draw(gateway=self._gateway, uses=uses), CALL_SECONDS)
        except HostError as error:
            self._rates.failed(uses)
            _log.debug("rates are kept by fair shares: %s", error)
            return False
        except BaseException:
            self._rates.failed(uses)
            raise
        self._rates.settled(uses, levels)
        return True
