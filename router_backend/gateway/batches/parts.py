"""Parts of a batch: lines that go to one model's own Batch API together. A part is a few objects, which are never written over:
its lines with what was decided about them, each file at the upstream of which a batch may be made, before it is, and the batch at
the upstream, once it is known. So whoever goes on after a kill finds all of them, and of two processes that send the same part
one makes the batch.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import msgspec

from router_backend.forwarding.upstreams.batches.rows import row_of
from router_backend.gateway.batches import shelves
from router_backend.gateway.batches.batchable import Batchable
from router_backend.gateway.batches.lines import Line
from router_backend.gateway.batches.record import Batch
from router_backend.gateway.batches.storage.objects import Objects, Writer
from router_backend.gateway.plan import Plan

_PART, _LINES, _SENT, _TRIED = ".json", ".lines", ".sent", ".tried-"
NO_FILE = ""
"""In the place of a file: no batch is made of this part any more."""


class Part(msgspec.Struct, frozen=True):
    """What is known of one, beside its lines."""

    name: str
    arm: str
    endpoint: str  # of the upstream, or `rows.CONVERSE`
    size: int  # bytes of its lines, as the upstream gets them
    usd: float  # expected
    numbers: tuple[int, ...]  # of its lines


class Sent(msgspec.Struct, frozen=True):
    """The batch at the upstream."""

    batch_id: str


class PartLine(msgspec.Struct, frozen=True):
    """One line that is away."""

    number: int
    custom_id: str
    body: msgspec.Raw  # the client's
    plan: msgspec.Raw
    row: msgspec.Raw  # the upstream's line


_part = msgspec.json.Decoder(Part)
_sent = msgspec.json.Decoder(Sent)
_line = msgspec.json.Decoder(PartLine)
_encode = msgspec.json.encode


class Parts:
    """Of one batch."""

    def __init__(self, objects: Objects, batch: Batch) -> None:
        self._objects = objects
        self._folder = f"{shelves.batch(shelves.owner_of(batch.key), batch.id)}/parts"

    async def all(self) -> list[Part]:
        """The oldest first."""
        names = [name for name in await self._objects.names(self._folder) if name.endswith(_PART)]
        found = [await self._objects.get(f"{self._folder}/{name}") for name in names]
        return [_part.decode(data) for data in found if data]

    async def begin(self, arm: str, endpoint: str) -> Draft:
        """A part without lines, which isn't there before its `finish`."""
        return await Draft(self._objects, self._folder, arm, endpoint).open()

    async def sent(self, part: Part) -> Sent | None:
        """Where it is; None: nobody has said."""
        data = await self._objects.get(f"{self._folder}/{part.name}{_SENT}")
        return _sent.decode(data) if data else None

    async def say_sent(self, part: Part, sent: Sent) -> Sent:
        """Say where it is, unless somebody has said it; returns what counts."""
        path = f"{self._folder}/{part.name}{_SENT}"
        if await self._objects.put(path, _encode(sent), new=True):
            return sent
        return await self.sent(part) or sent

    async def tried(self, part: Part) -> list[str]:
        """Files at the upstream of which batches may have been made, in the order of the attempts."""
        found: list[str] = []
        while (data := await self._objects.get(self._attempt(part, len(found)))) is not None:
            found.append(data.decode())
        return found

    async def try_with(self, part: Part, before: int, file_id: str) -> bool:
        """Note that a batch is going to be made of a file, after so many attempts. False: somebody else is going to."""
        return await self._objects.put(self._attempt(part, before), file_id.encode(), new=True)

    def _attempt(self, part: Part, number: int) -> str:
        return f"{self._folder}/{part.name}{_TRIED}{number}"

    async def lines(self, part: Part) -> dict[int, PartLine]:
        """Its lines by their numbers, all in memory."""
        data = await self._objects.get(f"{self._folder}/{part.name}{_LINES}") or b""
        return {line.number: line for text in data.split(b"\n") if text for line in (_line.decode(text),)}

    async def rows(self, part: Part) -> AsyncIterator[bytes]:
        """What the upstream gets, in pieces: `part.size` bytes in all."""
        rest = b""
        async for piece in self._objects.read(f"{self._folder}/{part.name}{_LINES}"):
            *whole, rest = (rest + piece).split(b"\n")
            if whole:
                yield b"".join(bytes(_line.decode(text).row) + b"\n" for text in whole if text)

    async def forget(self) -> None:
        """All of them."""
        await self._objects.delete_folder(self._folder)


class Draft:
    """A part to which lines are added."""

    def __init__(self, objects: Objects, folder: str, arm: str, endpoint: str) -> None:
        self._objects, self._folder, self._arm, self._endpoint = objects, folder, arm, endpoint
        self._name, self._stack = shelves.new_id("part-"), AsyncExitStack()
        self._writer: Writer
        self.size, self._usd, self.numbers = 0, 0.0, list[int]()

    async def open(self) -> Draft:
        path = f"{self._folder}/{self._name}{_LINES}"
        self._writer = await self._stack.enter_async_context(self._objects.writer(path))
        return self

    async def add(self, number: int, line: Line, found: Batchable) -> None:
        """One line; upstreams know it by its number alone."""
        row = row_of(found.endpoint, number, found.body)
        kept = PartLine(number, line.custom_id, line.body, msgspec.Raw(found.plan.to_json()), msgspec.Raw(row))
        self.size += len(row) + 1
        self._usd += found.usd
        self.numbers.append(number)
        await self._writer.write(_encode(kept) + b"\n")

    async def finish(self) -> Part:
        """It is durable when this returns."""
        part = Part(self._name, self._arm, self._endpoint, self.size, self._usd, tuple(self.numbers))
        async with self._stack:
            await self._writer.commit()
        await self._objects.put(f"{self._folder}/{part.name}{_PART}", _encode(part))
        return part

    async def drop(self) -> None:
        """Nothing of it stays."""
        await self._stack.aclose()


def plan_of(line: PartLine) -> Plan:
    """That was made of it."""
    return Plan.from_json(bytes(line.plan))
