"""What one worker asks the others."""

from __future__ import annotations

import asyncio
from typing import Any

from router_backend.gateway.workers.calls import NoAnswer, Refused, ask
from router_backend.gateway.workers.place import Place, socket_of


class Siblings:
    """The other workers of this gateway, and their parent."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def all(self, what: str, seconds: float, **fields: Any) -> list[Any]:
        """The answer of each other worker, None for one that gives none within `seconds`."""

        async def one(index: int) -> Any:
            try:
                return await ask(socket_of(self._place.folder, index), what, seconds, **fields)
            except (NoAnswer, Refused):
                return None

        return await asyncio.gather(*map(one, self._place.others))

    async def parent(self, what: str, seconds: float) -> Any:
        """The parent's answer.

        Raises:
            NoAnswer: there is none within `seconds`.
            Refused: it says why.
        """
        return await ask(socket_of(self._place.folder), what, seconds)
