"""A streamed answer as an iterator."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from types import TracebackType

from llm_router_client.errors import StreamError
from llm_router_client.reading import Opened
from llm_router_client.results import Chunk, Decision


class Stream(Iterator[Chunk]):
    """Chunks of one answer; `decision` is known from the start.

    Leaving it early (`close`, the end of a `with` block, or dropping the last reference) cancels the request. Use it in
    one thread at a time.
    """

    def __init__(self, source: Generator[Opened, None, None], first: Opened) -> None:
        self.decision: Decision = first[0]
        self._source, self._ready = source, list(reversed(first[1]))

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Chunk:
        """Raises RouterError when the answer breaks off."""
        while not self._ready:
            self._ready = list(reversed(next(self._source)[1]))
        return self._ready.pop()

    def text(self) -> str:
        """The rest of the answer's text."""
        return "".join(chunk.text for chunk in self)

    def close(self) -> None:
        self._ready.clear()
        self._source.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class AsyncStream(AsyncIterator[Chunk]):
    """As `Stream`. Leave it by `aclose` or at the end of an `async with` block: a `break` alone doesn't close it."""

    def __init__(self, source: AsyncGenerator[Opened, None], first: Opened) -> None:
        self.decision: Decision = first[0]
        self._source, self._ready = source, list(reversed(first[1]))

    def __aiter__(self) -> AsyncStream:
        return self

    async def __anext__(self) -> Chunk:
        """Raises RouterError when the answer breaks off."""
        while not self._ready:
            self._ready = list(reversed((await anext(self._source))[1]))
        return self._ready.pop()

    async def text(self) -> str:
        """The rest of the answer's text."""
        return "".join([chunk.text async for chunk in self])

    async def aclose(self) -> None:
        self._ready.clear()
        await self._source.aclose()

    async def __aenter__(self) -> AsyncStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()


def no_answer() -> StreamError:
    """A stream that ended without telling anything."""
    return StreamError("the server ended the answer before it began", retryable=True)
