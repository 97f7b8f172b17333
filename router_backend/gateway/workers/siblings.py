"""What one worker asks the others."""

from __future__ import annotations

import asyncio
from typing import Any

from router_backend.gateway.memory import Remembered
from router_backend.gateway.workers.calls import NoAnswer, Refused, ask
from router_backend.gateway.workers.place import Place, socket_of

_SECONDS = 1.0


class Siblings:
    """The other workers of this gateway, and their parent."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def all(self, what: str, seconds: float, /, **fields: Any) -> list[Any]:
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

    async def watched(self, seconds: float) -> bool:
        """Whether the parent says, within `seconds`, that it starts again whoever ends or freezes."""
        try:
            return bool(await self.parent("alive", seconds))
        except (NoAnswer, Refused):
            return False

    async def decision(self, decision_id: str, seconds: float = 0.0) -> tuple[Remembered | None, bool]:
        """What another worker remembers of a decision, and whether something of it isn't durable there yet.

        `seconds`: that it waits until it is.
        """
        answers = await self.all("decision", seconds + _SECONDS, decision_id=decision_id, seconds=seconds)
        there = [answer for answer in answers if answer]
        known = next((answer["known"] for answer in there if answer["known"]), None)
        return Remembered.from_json(known) if known else None, any(answer["waits"] for answer in there)
