"""Questions between the processes of one gateway: a line of JSON each way, over a Unix socket. None is on a request's way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

_LINE_BYTES = 16 * 1024 * 1024
_log = logging.getLogger("llm_router.gateway")

Answer = Callable[..., Awaitable[Any]]
"""Takes a question's fields, and returns what JSON can say."""


class NoAnswer(RuntimeError):
    """The other process is gone, starting or, where the answer is only `late`, perhaps frozen."""

    def __init__(self, message: str, late: bool) -> None:
        super().__init__(message)
        self.late = late


class Refused(RuntimeError):
    """The other process says why it doesn't."""


class Answers:
    """Answers questions at one socket, by their names."""

    def __init__(self, path: Path, answers: Mapping[str, Answer]) -> None:
        self._path, self._answers = path, answers
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Answer from now on, in place of a process that was killed."""
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._answer, self._path, limit=_LINE_BYTES)

    async def aclose(self) -> None:
        if self._server:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            question = orjson.loads(await reader.readline())
            try:
                said = {"answer": await self._answers[question.pop("ask")](**question)}
            except Refused as refusal:
                said = {"refused": str(refusal)}
            writer.write(orjson.dumps(said) + b"\n")
            await writer.drain()
        except (OSError, ValueError):  # the asker is gone
            pass
        except Exception as error:
            _log.error("a question of another worker failed with %s", type(error).__name__)
        finally:
            writer.close()


async def ask(socket: Path, what: str, seconds: float, /, **fields: Any) -> Any:
    """The answer of the process at `socket`.

    Raises:
        NoAnswer: there is none within `seconds`.
        Refused: it says why.
    """
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_unix_connection(socket, limit=_LINE_BYTES)
            try:
                writer.write(orjson.dumps({"ask": what, **fields}) + b"\n")
                said = orjson.loads(await reader.readline())
            finally:
                writer.close()
    except (OSError, ValueError, TimeoutError) as error:
        late = isinstance(error, TimeoutError)
        raise NoAnswer(f"worker {socket.stem} does not answer ({type(error).__name__})", late) from None
    if "refused" in said:
        raise Refused(said["refused"])
    return said["answer"]
