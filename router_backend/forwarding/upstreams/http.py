"""HTTP as upstreams are asked over it, whichever client carries it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from router_backend.core.errors import CONNECT, CUT, OpenAIError
from router_backend.forwarding.failure import Failure, cut, timed_out, unusable

READ_BYTES = 64 * 1024
"""Of a body that are read at once: lines of one byte take fifty times as much in memory, and others wait meanwhile."""
MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_HEADER_BYTES = 64 * 1024
"""Of a header: content security policies and cookies of proxies have tens of kilobytes."""
KEEPALIVE_SECONDS = 4.0
"""Below uvicorn's five, which NIM and vLLM run on: the server must not close first, under a request just sent."""
LINGER_BYTES = 64 * 1024
"""More than that after an answer's end is no end."""
LINGER_SECONDS = 1.0
"""How long an answered request's connection may take to end, to be used again."""
NO_TYPE = "application/octet-stream"  # what an answer without a type is (RFC 2616, section 7.2.1)


class NotConnected(Exception):
    """There is no connection; the message says why."""


class ConnectTimeout(NotConnected):
    """There was none in time."""


class Ended(Exception):
    """The connection ended before the answer did, or what came is no HTTP."""


class Unusable(Exception):
    """What came is HTTP, but can't be read; the message says why."""


class HTTPResponse(Protocol):
    """An answer whose head is there. Either `finish` or `cancel` ends it, once."""

    @property
    def status(self) -> int: ...

    @property
    def content_type(self) -> str:
        """Without parameters, in small letters."""
        ...

    def header(self, name: str) -> str | None:
        """A header's text; `name` in small letters."""
        ...

    async def read(self) -> bytes:
        """The next bytes, `READ_BYTES` at most; none at the end. Raises Ended, Unusable."""
        ...

    def finish(self) -> None:
        """Nobody reads on. The connection may serve again, once its answer has ended."""
        ...

    def cancel(self) -> None:
        """End the call at once."""
        ...


class HTTPClient(Protocol):
    """Keeps connections to servers."""

    async def post(self, url: str, data: bytes, headers: Mapping[str, str]) -> HTTPResponse:
        """The answer to a request, redirects not followed.

        Raises:
            NotConnected, ConnectTimeout, Ended: there is none.
            ValueError: a header can't be sent.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections, and with them the calls that still run."""
        ...


def failure_of(error: Exception, arm: str, connect: float) -> Failure:
    """What an error of `HTTPClient.post` means. `connect`: its time limit in seconds."""
    if isinstance(error, ConnectTimeout):
        return timed_out("connect", connect, arm)
    if isinstance(error, NotConnected):
        return Failure(CONNECT, OpenAIError(f"{arm} can't be reached: {error}"))
    return Failure(CUT, OpenAIError(f"{arm} closed the connection before it answered"))


class HTTPReply:
    """Reads one answer's bytes, with failures in the engine's words; `finish` and `cancel` may be called again."""

    __slots__ = ("_arm", "_ended", "_response")

    def __init__(self, arm: str, response: HTTPResponse) -> None:
        self._arm, self._response = arm, response
        self._ended = False

    async def body(self, most: int) -> bytes:
        """All of it. Raises Failure."""
        parts, size = [], 0
        while part := await self.read():
            parts.append(part)
            size += len(part)
            if size > most:
                raise unusable(self._arm, f"a body of more than {most} bytes")
        return b"".join(parts)

    async def read(self) -> bytes:
        """The next bytes; none at the end. Raises Failure when the connection broke."""
        try:
            return await self._response.read()
        except Ended as error:
            raise cut(self._arm) from error
        except Unusable as error:
            raise unusable(self._arm, str(error)) from error

    def finish(self) -> None:
        """See `Reply.finish`. The end of the body may still come for a moment; its connection is kept then."""
        if not self._ended:
            self._ended = True
            self._response.finish()

    def cancel(self) -> None:
        """See `Reply.cancel`."""
        if not self._ended:
            self._ended = True
            self._response.cancel()
