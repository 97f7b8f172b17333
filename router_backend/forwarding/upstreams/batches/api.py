"""What is asked of a model's own Batch API, whoever's it is.

So that the same lines are never paid twice, whoever is killed when: a file is uploaded, which costs nothing; it is noted; then a
batch is made of it. Whoever goes on looks for the batch by its name. Where there is none, the noted file is closed, so that none
can come of it any more, and only then another one is tried.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Literal, Protocol

import msgspec

Status = Literal["in_progress", "cancelling", "completed", "failed", "expired", "cancelled"]
"""OpenAI's words; those of other servers are translated. An expired batch may have answers."""
ENDED: frozenset[Status] = frozenset(("completed", "failed", "expired", "cancelled"))


class BatchAPIError(RuntimeError):
    """The server couldn't be asked, or refused. `passing`: the same may be well later; `gone`: there is no such thing there."""

    def __init__(self, message: str, *, passing: bool, gone: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.passing, self.gone, self.retry_after = passing, gone, retry_after


class RemoteBatch(msgspec.Struct, frozen=True):
    """A batch there, as far as it matters."""

    id: str
    status: Status
    causes: str = ""  # why it failed, in the server's codes
    answers: str = ""  # where its answers are, for `BatchAPI.answers`; empty: there are none

    @property
    def ended(self) -> bool:
        return self.status in ENDED


class LineAnswer(msgspec.Struct, frozen=True):
    """To one line, by its number."""

    number: int
    body: bytes  # as the part's endpoint answers; for Converse, a chat completion


class BatchAPI(Protocol):
    """Of one arm's server. Every method may raise BatchAPIError."""

    async def upload(self, name: str, size: int, pieces: Callable[[], AsyncIterator[bytes]]) -> str:
        """A file of lines (`rows.row_of`), of `size` bytes; returns its id."""
        ...

    async def close(self, file_id: str) -> None:
        """Nobody makes another batch of a file from now on: one that was made is found, a later attempt makes none."""
        ...

    async def create(self, file_id: str, endpoint: str, name: str) -> RemoteBatch:
        """A batch of a file, by whose name it can be found."""
        ...

    async def find(self, name: str) -> RemoteBatch | None:
        """The batch of this name."""
        ...

    async def retrieve(self, batch_id: str) -> RemoteBatch:
        """As it is now."""
        ...

    async def cancel(self, batch_id: str) -> None:
        """It need not have ended when this returns."""
        ...

    def answers(self, place: str) -> AsyncGenerator[LineAnswer, None]:
        """All that are there, in any order; lines that failed are left out."""
        ...

    async def remove(self, batch_id: str) -> None:
        """The files of a batch that has ended, for good."""
        ...
