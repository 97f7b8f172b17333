"""The playground: one static page that shows a decision as it is made, and learns before one's eyes."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from router_backend.gateway.http.errors import ApiError
from router_backend.gateway.http.exchange import Exchange

if TYPE_CHECKING:
    from router_backend.gateway.service import Gateway, Handler

_FILES = {
    "/": ("index.html", b"text/html; charset=utf-8"),
    "/playground.css": ("playground.css", b"text/css; charset=utf-8"),
    "/playground.js": ("playground.js", b"text/javascript; charset=utf-8"),
}
_HEADERS = [
    # The page loads and calls nothing but this gateway; an answer's text can't run as a script.
    (b"content-security-policy", b"default-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),
]


def routes(gateway: Gateway) -> dict[tuple[str, str], Handler]:
    def page(name: str, content_type: bytes) -> Handler:
        data = (files(__name__) / name).read_bytes()

        async def serve(exchange: Exchange) -> None:
            if not gateway.runtime.config.gateway.playground:
                raise ApiError(404, "The playground is off (gateway.playground)", code="unknown_url")
            await exchange.respond(200, data, _HEADERS, content_type)

        return serve

    return {("GET", path): page(name, content_type) for path, (name, content_type) in _FILES.items()}
