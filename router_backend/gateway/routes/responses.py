"""`/v1/responses/{id}`: stored responses, by the key that asked for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from router_backend.gateway.http.errors import ApiError
from router_backend.gateway.http.exchange import Exchange, Handler
from router_backend.gateway.routes.pages import limit_of, query_of
from router_backend.gateway.runtime import Runtimes
from router_backend.gateway.stored import StoredResponses

_AT_ONCE = 20  # items of a page, as OpenAI's
_MOST_AT_ONCE = 100


class StoredResponseHandlers:
    """One handler for each thing that can be done with a stored response."""

    def __init__(self, runtimes: Runtimes, stored: StoredResponses) -> None:
        self._runtimes, self._stored = runtimes, stored

    def handler(self, do: Callable[[Exchange, str], Awaitable[None]]) -> Handler:
        """`do` with the id in the path, for keys that may."""

        async def handle(exchange: Exchange) -> None:
            runtime = self._runtimes.current
            runtime.keys.admit(exchange, "chat")
            if not runtime.config.responses.store:
                raise ApiError(404, "Answers are not stored here (responses.store)", code="response_not_found")
            await do(exchange, exchange.path.split("/")[3])

        return handle

    async def show(self, exchange: Exchange, response_id: str) -> None:
        """The response itself."""
        if query_of(exchange).get("stream") == "true":
            raise ApiError(
                400,
                "'stream' is for responses of the background, which this gateway has none of",
                code="unsupported_parameter",
                param="stream",
            )
        await exchange.json((await self._stored.read(response_id, exchange.key)).response)

    async def cancel(self, exchange: Exchange, response_id: str) -> None:
        """What is stored has ended, so it is shown as it is. A running response ends with its client's connection."""
        await exchange.json((await self._stored.read(response_id, exchange.key)).response)

    async def remove(self, exchange: Exchange, response_id: str) -> None:
        """For good."""
        await self._stored.forget(response_id, exchange.key)
        await exchange.json({"id": response_id, "object": "response", "deleted": True})

    async def input_items(self, exchange: Exchange, response_id: str) -> None:
        """A page of what the response answers, the latest first unless asked otherwise."""
        query = query_of(exchange)
        limit, order = limit_of(query, _AT_ONCE, _MOST_AT_ONCE), query.get("order", "desc")
        if order not in ("asc", "desc"):
            raise ApiError(400, "'order' must be asc or desc", code="invalid_value", param="order")
        items = (await self._stored.read(response_id, exchange.key)).input
        if order == "desc":
            items = items[::-1]
        if after := query.get("after"):
            places = [at for at, item in enumerate(items) if item.get("id") == after]
            if not places:
                raise ApiError(400, "'after' is no item of this response", code="invalid_value", param="after")
            items = items[places[0] + 1 :]
        page = items[:limit]
        ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": "", "last_id": ""}
        await exchange.json({"object": "list", "data": page, "has_more": len(items) > len(page), **ends})
