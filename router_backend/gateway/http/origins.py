"""What web pages may do: those of configured sites with CORS; without keys nobody else's, whatever name they find us by."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

from router_backend.core.addresses import is_loopback
from router_backend.gateway.http.errors import ApiError, Header
from router_backend.gateway.http.exchange import Exchange

_EXPOSED = b"x-request-id, x-router-decision-id, x-router-model, x-router-task, x-router-reason, x-router-switched, retry-after"
_PREFLIGHT: list[Header] = [
    (b"access-control-allow-methods", b"GET, POST, DELETE, OPTIONS"),
    (b"access-control-max-age", b"600"),
]


def cors_headers(exchange: Exchange, allowed: Collection[str]) -> list[Header]:
    """Headers of every response to a page of an allowed site; none for others, which browsers keep the answer from."""
    origin = exchange.header(b"origin")
    if origin is None or not (origin in allowed or "*" in allowed):
        return []
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", _EXPOSED),
        (b"vary", b"origin"),
    ]


async def answer_preflight(exchange: Exchange) -> bool:
    """Answer a browser's question whether a page may call; False if the request is none, or the site isn't allowed."""
    if exchange.method != "OPTIONS" or not exchange.cors or exchange.header(b"access-control-request-method") is None:
        return False
    wanted = exchange.headers.get(b"access-control-request-headers")
    await exchange.start(204, [*_PREFLIGHT, *([(b"access-control-allow-headers", wanted)] if wanted else [])])
    await exchange.chunk(b"", more=False)
    return True


def same_site_only(exchange: Exchange, even_allowed: bool) -> None:
    """Without keys a web page of another site could use the models through its visitor's browser.

    `even_allowed`: sites that may call are refused, too.

    Raises:
        ApiError: 403, the browser says that it comes from there, and that site isn't allowed to.
    """
    if (even_allowed or not exchange.cors) and exchange.headers.get(b"sec-fetch-site", b"none") not in (
        b"none",
        b"same-origin",
    ):
        raise ApiError(403, "Requests from other web sites need an API key", code="cross_site_request")


def own_name_only(exchange: Exchange, allowed: Collection[str]) -> None:
    """A site can make its own name lead here (DNS rebinding); a browser takes us for a part of it then.

    Raises:
        ApiError: 403, the request is for another host than this one.
    """
    host = _host(exchange.header(b"host") or "")
    if not (is_loopback(host) or host.endswith(".localhost") or _is_address(host) or host in allowed):
        raise ApiError(
            403,
            "This host name is not one of this gateway's; add it to gateway.allowed_hosts, or use API keys",
            code="unknown_host",
        )


def _host(value: str) -> str:
    name = value[: value.find("]") + 1] if value.startswith("[") else value.partition(":")[0]
    return name.strip("[]").rstrip(".").lower()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
