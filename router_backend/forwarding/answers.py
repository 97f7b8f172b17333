"""The two kinds of answer, whole and streamed, as the gateway and Triton's models send them on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from router_backend.forwarding.live import LiveStream
from router_backend.forwarding.progress import Progress
from router_backend.forwarding.stream.sse import DONE, frame


@dataclass(frozen=True, slots=True)
class WholeAnswer:
    """An answer that isn't streamed; it ended before it was handed out."""

    progress: Progress
    body: bytes  # JSON; `model` in it is the arm that answered
    native: bool = False  # in the words of the client's API


@dataclass(slots=True)
class Copy:
    """The payloads of an answer, for whoever reads it once it has ended. Up to `limit` bytes: of a longer one nothing is kept."""

    limit: int
    payloads: list[bytes] = field(default_factory=list)
    size: int = 0
    whole: bool = True  # nothing was left out

    def add(self, payloads: list[bytes]) -> None:
        """What was just handed out."""
        self.size += sum(map(len, payloads))
        if self.size > self.limit:
            self.whole, self.size, self.payloads = False, self.limit, []
        if self.whole:
            self.payloads += payloads


class StreamedAnswer:
    """A stream whose first content has arrived. One consumer; `aclose` from any task of the loop ends it.

    A failure after the first byte is an error object and the end, without [DONE]; its cause is in `progress.error`.
    """

    def __init__(
        self, progress: Progress, held: list[bytes], live: LiveStream | None = None, native: bool = False
    ) -> None:
        """`held`: the JSON of chunks that were read before; `live`: what follows them, None if nothing does.
        `native`: in the words of the client's API."""
        self.progress, self.native = progress, native
        self._held: list[bytes] | None = held
        self._live = live
        self.copy: Copy | None = None  # takes what is handed out

    async def frames(self) -> AsyncIterator[bytes]:
        """Complete SSE frames, ready to be sent on, one or several a piece.

        `data: [DONE]` comes in the last piece, after the accounting: SDKs close at it.
        """
        try:
            while (payloads := await self._next()) is not None:
                if not self.progress.error and self.ended:
                    payloads = [*payloads, DONE]
                if payloads:
                    yield frame(payloads)
        finally:
            await self.aclose()

    @property
    def ended(self) -> bool:
        """Whether all of it has been read."""
        return self._live is None or self._live.ended

    async def payloads(self) -> AsyncIterator[list[bytes]]:
        """The JSON of the chunks of one read, without SSE framing and [DONE]."""
        try:
            while (payloads := await self._next()) is not None:
                yield payloads
        finally:
            await self.aclose()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The JSON of one chunk at a time, without SSE framing and [DONE]."""
        async for payloads in self.payloads():
            for payload in payloads:
                yield payload

    async def aclose(self) -> None:
        """Cancel the upstream call if it still runs. What is known of the usage is kept."""
        if self._live and self._live.leave():
            self._held = None

    async def _next(self) -> list[bytes] | None:
        """The next chunks for the client; None after the end."""
        payloads = await self._read()
        if self.copy and payloads:
            self.copy.add(payloads)
        return payloads

    async def _read(self) -> list[bytes] | None:
        if self._held is not None:
            held, self._held = self._held, None
            return held
        return await self._live.next() if self._live else None


Answer = WholeAnswer | StreamedAnswer
