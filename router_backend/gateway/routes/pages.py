"""Pages of lists, as OpenAI cuts them: a limit, an order, the id that a page begins after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

from router_backend.gateway.http.errors import ApiError
from router_backend.gateway.http.exchange import Exchange

_LONGEST_QUERY = 2000


def query_of(exchange: Exchange) -> dict[str, str]:
    """The query's fields; of one that comes twice the last."""
    text = exchange.scope.get("query_string", b"")[:_LONGEST_QUERY].decode("latin-1")
    return {name: values[-1] for name, values in parse_qs(text).items()}


def limit_of(query: Mapping[str, str], usual: int, most: int) -> int:
    """Raises ApiError (400): it is out of range."""
    limit = query.get("limit", str(usual))
    if not (limit.isdecimal() and 1 <= int(limit[:9]) <= most):
        raise ApiError(400, f"'limit' must be 1 to {most}", code="invalid_value", param="limit")
    return int(limit)


def ordered(query: Mapping[str, str], ids: Sequence[str]) -> list[str]:
    """Ids, the oldest first, in the order of the page, from behind `after`.

    Raises:
        ApiError: 400, there is no such order, or no such id.
    """
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise ApiError(400, "'order' must be asc or desc", code="invalid_value", param="order")
    found = list(ids) if order == "asc" else list(reversed(ids))
    if after := query.get("after"):
        if after not in found:
            raise ApiError(400, "'after' is no id of this list", code="invalid_value", param="after")
        found = found[found.index(after) + 1 :]
    return found


def page(data: Sequence[Mapping[str, Any]], has_more: bool) -> dict[str, Any]:
    """OpenAI's list object."""
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return {"object": "list", "data": data, "has_more": has_more, **ends}
