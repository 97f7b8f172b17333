"""A streamed HTTP answer, read without input or output of its own: bytes in, decision and chunks out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from llm_router_client.dialect import Dialect
from llm_router_client.errors import StreamError
from llm_router_client.results import Chunk, Decision
from llm_router_client.sse import EventSplitter

Opened = tuple[Decision, list[Chunk]]
"""The decision, and chunks that came with it."""

UNREADABLE = (ValueError, LookupError, TypeError, AttributeError)
"""What parsing raises when a server says something else than was agreed on."""


class StreamReader:
    """One response. `done` once the end was said."""

    def __init__(self, dialect: Dialect, headers: Mapping[str, str]) -> None:
        self._dialect, self._splitter = dialect, EventSplitter()
        self._request_id = headers.get("x-request-id")
        self.decision = dialect.opened(headers)
        self.done = False

    def feed(self, piece: bytes) -> Iterator[Opened]:
        """What `piece` completes.

        Raises:
            StreamError: the server says that the answer broke off, or says something else.
        """
        for data in self._splitter.feed(piece):
            if data == "[DONE]":
                self.done = True
                return
            try:
                event = json.loads(data)
                if "error" in event:
                    raise self._broken(event["error"])
                decision, chunks = self._dialect.event(event)
            except UNREADABLE as error:
                raise StreamError(
                    f"the server sent an event that can't be read ({error!r})", request_id=self._request_id
                ) from error
            self.decision = decision or self.decision
            if self.decision is not None:
                yield self.decision, chunks

    def finish(self) -> None:
        """The bytes have ended.

        Raises:
            StreamError: the answer has not.
        """
        if self.decision is None or (self._dialect.ends_with_done and not self.done):
            raise StreamError("the server ended the answer before it was complete", request_id=self._request_id)

    def _broken(self, error: object) -> StreamError:
        told = error if isinstance(error, dict) else {"message": str(error)}
        return StreamError(
            str(told.get("message")),
            code=told.get("code"),
            type=told.get("type"),
            param=told.get("param"),
            request_id=self._request_id,
        )
