"""Reads an answer that passes by, for what it cost; nothing of it is changed or held back."""

from __future__ import annotations

import time

from router_backend.core.errors import CUT
from router_backend.forwarding.failure import Failure
from router_backend.forwarding.progress import Progress
from router_backend.forwarding.request import Endpoint
from router_backend.forwarding.stream.chunks import ChunkReader, read_body
from router_backend.forwarding.stream.sse import EventTooLarge, SSEParser

_WHOLE_BYTES = 16 * 1024 * 1024
"""A larger answer that isn't streamed passes unread: its usage is unknown then."""


class Observed:
    """One answer. `progress` is what is known of it so far."""

    def __init__(self, progress: Progress, endpoint: Endpoint, streamed: bool, readable: bool) -> None:
        """`streamed`: server-sent events; `readable`: its bytes are not compressed."""
        self.progress, self._endpoint = progress, endpoint
        self._parser = SSEParser() if streamed else None
        self._reader = ChunkReader(progress, usage_asked=True)
        self._whole = bytearray()
        self._reads = readable and 200 <= progress.status < 300

    def add(self, data: bytes) -> None:
        """The next bytes."""
        if not data or not self._reads:
            return
        if self.progress.first_token is None and self._parser:
            self.progress.first_token = time.monotonic() - self.progress.started
        try:
            if self._parser:
                for event in self._parser.feed(data):
                    self._reader.take(event)
            elif len(self._whole) + len(data) <= _WHOLE_BYTES:
                self._whole += data
            else:
                self._reads = False
        except Failure as failure:
            self._failed(failure)
        except EventTooLarge:
            self._reads = False

    def end(self) -> None:
        """Its last byte has passed, or nothing more comes: read what was collected, estimate what wasn't said."""
        progress = self.progress
        progress.latency = time.monotonic() - progress.started
        if self._parser is None and self._reads and self._whole:
            try:
                read_body(bytes(self._whole), progress, self._endpoint)
            except Failure as failure:
                self._failed(failure)
        elif self._parser and self._reads and not self._reader.complete and progress.error is None:
            progress.error = CUT
        self.estimate()

    def estimate(self) -> None:
        """What has passed so far stands for the usage, where that wasn't said."""
        self.progress.estimate(self._reader.content, self._reader.written)

    def _failed(self, failure: Failure) -> None:
        self.progress.error = failure.cause
        self._reads = False
