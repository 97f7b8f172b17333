"""A connection to Triton's HTTP: whole answers, and how much of each is JSON."""

from __future__ import annotations

from typing import NamedTuple

from router_backend.core.http import connection
from router_backend.core.http.connection import Broken

MAX_HEAD_BYTES = 16 * 1024
MAX_BODY_BYTES = 64 * 1024 * 1024
_JSON_LENGTH = b"inference-header-content-length"


class Answer(NamedTuple):
    """A whole response."""

    status: int
    body: bytes
    json_length: int  # bytes at the body's beginning that are JSON; the rest are tensors


class Connection(connection.Connection):
    """See `core.http`."""

    def __init__(self) -> None:
        super().__init__(MAX_HEAD_BYTES)

    async def exchange(self, request: bytes) -> Answer:
        """The answer to a request. Cancelled, it closes the connection: by that Triton knows that nobody waits.

        Raises:
            Broken: there is none.
        """
        response = await self.send(request)
        try:
            body = await response.body(MAX_BODY_BYTES)
            told = response.headers.get(_JSON_LENGTH)
            if told is not None and not told.isdigit():
                raise Broken("a length that is no number")
        except BaseException:
            self.close()
            raise
        return Answer(response.status, body, len(body) if told is None else int(told[:20]))
