"""The pages: the playground, where a decision is shown as it is made, with the operator's console; and the API for people, from
`/openapi.json`. Static files; data comes by the API."""

from __future__ import annotations

from importlib.resources import files

from router_backend.gateway import playground
from router_backend.gateway.http.errors import ApiError
from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.runtime import Runtimes

_PLAYGROUND = ("playground", "decision", "gateway", "markdown", "page", "snippets")
_CONSOLE = (
    "console",
    "tabs",
    "parts",
    "charts",
    "decisions",
    "models",
    "learning",
    "spending",
    "configuration",
)
_REFERENCE = ("docs",)
FILES = {
    "/": ("index.html", b"text/html; charset=utf-8"),
    "/docs": ("docs.html", b"text/html; charset=utf-8"),
    **{f"/{name}.css": (f"{name}.css", b"text/css; charset=utf-8") for name in ("playground", "console")},
    **{
        f"/{name}.js": (f"{name}.js", b"text/javascript; charset=utf-8")
        for name in (*_PLAYGROUND, *_CONSOLE, *_REFERENCE)
    },
}
_HEADERS = [
    # The page loads and calls nothing but this gateway; an answer's text can't run as a script.
    (b"content-security-policy", b"default-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),
]


class PlaygroundHandler:
    """GET of one of the page's files."""

    def __init__(self, runtimes: Runtimes, path: str) -> None:
        name, self._content_type = FILES[path]
        self._runtimes, self._data = runtimes, (files(playground) / name).read_bytes()

    async def __call__(self, exchange: Exchange) -> None:
        runtime = self._runtimes.current
        runtime.keys.own_name(exchange)
        if not runtime.config.gateway.playground:
            raise ApiError(404, "The playground is off (gateway.playground)", code="unknown_url")
        await exchange.respond(200, self._data, _HEADERS, self._content_type)
