"""Stored responses: a conversation that goes on by the id of its last answer, and answers that are asked for again.

They lie in the state store, which only Triton opens. An answer's last bytes wait until it is there; where it can't be, the
answer says `store: false`.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from router_backend.config import RouterConfig
from router_backend.core.ids import new_decision_id
from router_backend.core.jsonio import dump, load
from router_backend.core.large import off_loop
from router_backend.gateway.http.errors import ApiError
from router_backend.gateway.router_host import HostError, RouterHost
from router_backend.gateway.surfaces.responses.items import Item, given_items, said_again
from router_backend.gateway.surfaces.surface import Fields
from router_backend.gateway.tallies import Count, Labelled
from router_backend.state.responses import DONE, NONE, Forget, Keep, Read

_WRITE_SECONDS = 2.0  # that an answer's end may wait
_READ_SECONDS = 5.0
_ENDS = frozenset(("response.completed", "response.incomplete"))
_log = logging.getLogger("llm_router.gateway")


@dataclass(frozen=True, slots=True)
class Stored:
    """An answer, and all that it answers, the earlier turns included."""

    response: Fields
    input: list[Item]


@dataclass(frozen=True, slots=True)
class Keeping:
    """An answer that is being made and is to be stored."""

    router: RouterHost
    key: str
    previous: str | None
    input: list[Item]
    max_bytes: int
    response_id: str
    missed: Labelled[Count]  # answers that could not be stored, by cause

    async def events(self, events: list[Fields]) -> list[Fields]:
        """A stream's events; the one that ends it waits until its answer is stored."""
        return [await self._event(event) if "response" in event else event for event in events]

    async def whole(self, response: Fields) -> Fields:
        """A whole answer, once it is stored."""
        response = self._marked(response)
        try:
            await self._keep(response)
        except HostError as error:
            self.missed.labels(error.cause).inc()
            _log.warning("response %s is not stored: %s", self.response_id, error)
            return response | {"store": False}
        return response

    async def _event(self, event: Fields) -> Fields:
        response = event["response"]
        return event | {"response": await self.whole(response) if event["type"] in _ENDS else self._marked(response)}

    def _marked(self, response: Fields) -> Fields:
        return response | {"id": self.response_id, "previous_response_id": self.previous, "store": True}

    async def _keep(self, response: Fields) -> None:
        """Raises HostError: too large, or the store can't be asked now."""
        body = dump({"response": response, "input": self.input})
        if len(body) > self.max_bytes:
            said = f"it has {len(body)} bytes with its conversation, more than responses.max_bytes"
            raise HostError("too_large", message=said)
        await self.router.stored(Keep(self.response_id, self.key, time.time(), body.decode()), _WRITE_SECONDS)


@dataclass(frozen=True, slots=True)
class Continued:
    """A request that holds all that was said before."""

    asked: Fields
    size: int  # bytes that were added
    keeping: Keeping | None  # None: its answer is not stored


class StoredResponses:
    """Reads and writes them through Triton."""

    def __init__(self, router: RouterHost, missed: Labelled[Count]) -> None:
        """`missed` counts answers that could not be stored, by cause."""
        self._router, self._missed = router, missed

    async def begin(self, asked: Fields, size: int, key: str, config: RouterConfig) -> Continued:
        """A request with the earlier turns in it, where it names its previous response. `size`: bytes asked.

        Raises:
            ApiError: 400, there is no such response of this key; 503, the store can't be asked now.
        """
        previous = asked.get("previous_response_id")
        wanted = asked.get("store") is not False
        if previous is None and not wanted:
            return Continued(asked, 0, None)
        before: list[Item] = []
        added = 0
        if previous is not None:
            stored, added = await self._read(previous, key)
            if stored is None:
                raise ApiError(
                    400,
                    f"Previous response with id {previous[:100]!r} not found",
                    code="previous_response_not_found",
                    param="previous_response_id",
                )
            before = [*stored.input, *stored.response["output"]]
        given = await off_loop(size, given_items, asked["input"])
        keeping = Keeping(
            router=self._router,
            key=key,
            previous=previous,
            input=[*before, *given],
            max_bytes=config.responses.max_bytes,
            response_id=f"resp_{new_decision_id()}",
            missed=self._missed,
        )
        asked = {name: value for name, value in asked.items() if name != "previous_response_id"}
        if before:
            asked["input"] = await off_loop(size + added, said_again, keeping.input)
        return Continued(asked | {"store": False}, added, keeping if wanted else None)

    async def read(self, response_id: str, key: str) -> Stored:
        """Raises ApiError: 404, there is none of this key; 503, the store can't be asked now."""
        stored, _ = await self._read(response_id, key)
        if stored is None:
            raise _unknown(response_id)
        return stored

    async def forget(self, response_id: str, key: str) -> None:
        """Raises ApiError as `read` does."""
        if await self._ask(Forget(response_id, key)) != DONE:
            raise _unknown(response_id)

    async def _read(self, response_id: str, key: str) -> tuple[Stored | None, int]:
        told = await self._ask(Read(response_id, key))
        return (None, 0) if told == NONE else (Stored(**load(told)), len(told))

    async def _ask(self, asked: Read | Forget) -> bytes:
        if len(asked.response_id) > _LONGEST_ID:
            return NONE
        try:
            return await self._router.stored(asked, _READ_SECONDS)
        except HostError as error:
            raise ApiError(
                503,
                f"Stored responses can't be asked for now ({error.cause}); send it again later",
                type="server_error",
                code="responses_unavailable",
                retry_after=1,
            ) from None


_LONGEST_ID = 128


def _unknown(response_id: str) -> ApiError:
    return ApiError(404, f"Response with id {response_id[:100]!r} not found", code="response_not_found")
