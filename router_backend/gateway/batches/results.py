"""Answers of a batch's lines: segments while it runs, two files at its end.

A segment is a group of answers in an object of its own; nothing is ever written over. Which segments the output is made of is
written once, in a manifest, before it is made. So every process that makes the output makes the same, and an answer that comes
later, from one that was taken for dead, is in none. Of a line that was answered twice the first answer counts.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import msgspec

from router_backend.core.jsonio import dump
from router_backend.gateway.batches import shelves
from router_backend.gateway.batches.files import OUTPUT, File, Files
from router_backend.gateway.batches.lines import Numbered, read_line
from router_backend.gateway.batches.record import Batch, Counts
from router_backend.gateway.batches.storage.objects import Missing, Objects, Writer


class Answered(msgspec.Struct, frozen=True):
    """One line's answer."""

    number: int
    well: bool  # it goes into the output, not to the errors
    row: msgspec.Raw  # JSON, as it stands in the file


_decoder = msgspec.json.Decoder(Answered)
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Known:
    """What the segments say."""

    names: list[str]
    well: dict[int, bool]  # by line number: whether it was answered well

    def counts(self, total: int) -> Counts:
        completed = sum(self.well.values())
        return Counts(total, completed, len(self.well) - completed)


class Results:
    """Of one batch."""

    def __init__(self, objects: Objects, files: Files, batch: Batch) -> None:
        self._objects, self._files, self._batch = objects, files, batch
        self._owner = shelves.owner_of(batch.key)
        self._folder = f"{shelves.batch(self._owner, batch.id)}/answers"
        self._manifest = f"{shelves.batch(self._owner, batch.id)}/manifest.json"

    async def known(self) -> Known:
        """What was answered so far, by anybody."""
        names = await self._objects.names(self._folder)
        well: dict[int, bool] = {}
        for name in names:
            async for answer in self._segment(name):
                well.setdefault(answer.number, answer.well)
        return Known(names, well)

    async def add(self, answers: Sequence[Answered]) -> str:
        """Keep a group; it is durable when this returns. Returns the segment's name."""
        name = shelves.new_id("answers-")
        await self._objects.put(f"{self._folder}/{name}", b"\n".join(map(_encoder.encode, answers)))
        return name

    async def seal(self, names: Sequence[str]) -> list[str]:
        """Say which segments the output is made of, unless that is said; returns what counts."""
        await self._objects.put(self._manifest, msgspec.json.encode(list(names)), new=True)
        data = await self._objects.get(self._manifest)
        return msgspec.json.decode(data or b"[]", type=list[str])

    async def finish(self, lines: Callable[[], AsyncIterator[list[Numbered]]], left: tuple[str, str]) -> Counts:
        """Write both files of a batch that is sealed. `left`: code and message of lines that have no answer; `lines`: all.

        Empty ones are left out. Returns how many lines came to which.
        """
        batch, seen = self._batch, set[int]()
        output, errors = batch.output_file_id, batch.error_file_id
        async with (
            self._objects.writer(shelves.content(self._owner, output)) as well,
            self._objects.writer(shelves.content(self._owner, errors)) as badly,
        ):
            completed = 0
            for name in await self.seal(()):
                async for answer in self._segment(name):
                    if answer.number not in seen:
                        seen.add(answer.number)
                        completed += answer.well
                        await _write(well if answer.well else badly, bytes(answer.row))
            if len(seen) < batch.counts.total:
                with contextlib.suppress(Missing):  # whoever removed the file knows what was in it
                    async for group in lines():
                        for line in group:
                            if line.number not in seen:
                                await _write(badly, unanswered(line, *left))
            await self._show(output, "output", well)
            await self._show(errors, "error", badly)
        return Counts(batch.counts.total, completed, batch.counts.total - completed)

    async def forget(self) -> None:
        """What the files were made of."""
        await self._objects.delete_folder(self._folder)

    async def _show(self, file_id: str, what: str, writer: Writer) -> None:
        if not writer.size:
            return
        await writer.commit()
        made = max(self._batch.at.values(), default=self._batch.created_at)
        name = f"{self._batch.id}_{what}.jsonl"
        expires = made + self._batch.output_seconds
        await self._files.add(self._owner, File(file_id, writer.size, made, expires, name, OUTPUT))

    async def _segment(self, name: str) -> AsyncIterator[Answered]:
        data = await self._objects.get(f"{self._folder}/{name}")
        for text in (data or b"").split(b"\n"):
            if text:
                yield _decoder.decode(text)


async def _write(writer: Writer, row: bytes) -> None:
    await writer.write(row + b"\n")


def unanswered(line: Numbered, code: str, message: str) -> bytes:
    """The row of a line that nobody has answered."""
    return row(read_line(line.text).custom_id, None, {"code": code, "message": message})


def row(custom_id: str, response: dict[str, object] | None, error: dict[str, str] | None) -> bytes:
    """A row of either file, as OpenAI writes it."""
    return dump({"id": shelves.new_id("batch_req_"), "custom_id": custom_id, "response": response, "error": error})
