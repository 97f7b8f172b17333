"""Every line is answered once, whatever two processes do and whenever one of them is killed, at a model's Batch API as well."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_backend.core.decision import RoutedDecision
from router_backend.forwarding.upstreams.batches.api import BatchAPIError, LineAnswer, RemoteBatch
from router_backend.gateway.batches import courier, shelves, work
from router_backend.gateway.batches.answering import Reply
from router_backend.gateway.batches.batchable import Batchable
from router_backend.gateway.batches.files import File, Files
from router_backend.gateway.batches.record import Batch
from router_backend.gateway.batches.register import Register
from router_backend.gateway.batches.storage.objects import Missing, ObjectsError
from router_backend.gateway.batches.work import Work
from router_backend.gateway.keys.budgets import Hold, Spending
from router_backend.gateway.plan import Plan
from tests.gateway.batches.conftest import CHAT, jsonl, line
from tests.support.arms import model, router_config

CONFIG = router_config(
    [model("a", "http://127.0.0.1:9/v1", batch={"max_lines": 4})], batches={"place": "x", "concurrency": 3}
)
PLAN = Plan(RoutedDecision(decision_id="d", model="a", reason="named"), ("a",), "named")
VIEW: ContextVar[Memory] = ContextVar("view")
"""Of the process that a task belongs to."""
KEY = "somebody"
OWNER = shelves.owner_of(KEY)


class Killed(Exception):
    """Of every call of a process that is no more: none of them has an effect."""


def nobody(*_: object) -> None:
    """Hears nothing."""


class Memory:
    """Objects that all processes see; each has a view of its own, whose calls take turns by chance."""

    def __init__(self, kept: dict[str, bytes], chance: random.Random) -> None:
        self.kept, self._chance, self.dead = kept, chance, False
        self.away = 0.0  # how often a call finds the place away

    async def _turn(self) -> None:
        for _ in range(self._chance.randrange(4)):
            await asyncio.sleep(0)
        if self.dead:
            raise Killed
        if self._chance.random() < self.away:
            raise ObjectsError("away")

    async def put(self, path: str, data: bytes, *, new: bool = False) -> bool:
        await self._turn()
        if new and path in self.kept:
            return False
        self.kept[path] = data
        return True

    async def get(self, path: str) -> bytes | None:
        await self._turn()
        return self.kept.get(path)

    async def names(self, folder: str) -> list[str]:
        await self._turn()
        below = (path.removeprefix(f"{folder}/") for path in self.kept if path.startswith(f"{folder}/"))
        return sorted({path.partition("/")[0] for path in below})

    async def delete(self, path: str) -> None:
        await self._turn()
        self.kept.pop(path, None)

    async def delete_folder(self, folder: str) -> None:
        await self._turn()
        for path in [path for path in self.kept if path.startswith(f"{folder}/")]:
            del self.kept[path]

    async def sweep(self, folder: str, seconds: float) -> None:
        await self._turn()

    @asynccontextmanager
    async def writer(self, path: str) -> AsyncIterator[MemoryWriter]:
        yield MemoryWriter(self, path)

    async def read(self, path: str) -> AsyncIterator[bytes]:
        await self._turn()
        if path not in self.kept:
            raise Missing(path)
        data = self.kept[path]
        for at in range(0, len(data), 100):
            await self._turn()
            yield data[at : at + 100]


class MemoryWriter:
    def __init__(self, memory: Memory, path: str) -> None:
        self._memory, self._path, self._data = memory, path, bytearray()

    @property
    def size(self) -> int:
        return len(self._data)

    async def write(self, data: bytes | bytearray) -> None:
        self._data += data

    async def commit(self) -> None:
        await self._memory.put(self._path, bytes(self._data))


class Upstream:
    """Answers each call with a number of its own, so that two answers to a line are told apart."""

    endpoints = (CHAT,)

    def __init__(self, chance: random.Random) -> None:
        self._chance, self.calls = chance, 0

    def hold(self, key: str, usd: float) -> Hold:
        return Hold(Spending(), key, usd)

    async def settle(self, key: str, url: str, body: bytes, plan: Plan, given: bytes, endpoint: str) -> Reply | None:
        await asyncio.sleep(0)
        return Reply(200, "request", orjson.Fragment(given), {}) if self._chance.random() < 0.9 else None

    async def answer(self, key: str, url: str, body: bytes, plan: Plan | None, batched: bool) -> Reply | Batchable:
        if batched and self._chance.random() < 0.6:
            return Batchable(PLAN, CHAT, body, 0.0)
        for _ in range(self._chance.randrange(6)):
            await asyncio.sleep(0)
        self.calls += 1
        status = 400 if self._chance.random() < 0.2 else 200
        return Reply(status, "request", orjson.Fragment(orjson.dumps({"call": self.calls})), {})


class Far:
    """An upstream's Batch API: a batch makes progress with each look at it, and lines may fail."""

    def __init__(self, chance: random.Random) -> None:
        self._chance, self._uploads = chance, 0
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, RemoteBatch] = {}
        self.names: list[str] = []  # of all batches
        self._lines: dict[str, tuple[str, list[int]]] = {}  # by batch: its file, and numbers

    def __call__(self, *_: object) -> Far:
        return self

    async def _turn(self) -> None:
        await VIEW.get()._turn()
        if self._chance.random() < 0.1:
            raise BatchAPIError("away", passing=self._chance.random() < 0.9)

    async def upload(self, name: str, size: int, pieces: Callable[[], AsyncIterator[bytes]]) -> str:
        await self._turn()
        data = b"".join([piece async for piece in pieces()])
        assert len(data) == size
        self._uploads += 1
        self.files[file_id := f"file-{self._uploads}"] = data
        await self._turn()
        return file_id

    async def create(self, file_id: str, endpoint: str, name: str) -> RemoteBatch:
        await self._turn()
        if self._chance.random() < 0.3:  # the process, or its request, stands still meanwhile
            for _ in range(200):
                await asyncio.sleep(0)
        if file_id not in self.files:
            raise BatchAPIError("no such file", passing=False)
        made = RemoteBatch(f"batch-{len(self.batches)}", "in_progress")
        self.batches[made.id] = made
        self.names.append(name)
        asked = [int(orjson.loads(row)["custom_id"]) for row in self.files[file_id].splitlines()]
        self._lines[made.id] = (file_id, asked)
        await self._turn()
        return made

    async def find(self, name: str) -> RemoteBatch | None:
        await self._turn()
        return self.batches[f"batch-{self.names.index(name)}"] if name in self.names else None

    async def retrieve(self, batch_id: str) -> RemoteBatch:
        await self._turn()
        if not self.batches[batch_id].ended and self._chance.random() < 0.5:
            self._end(batch_id, self._chance.choice(("completed", "expired", "failed")))
        return self.batches[batch_id]

    async def cancel(self, batch_id: str) -> None:
        await self._turn()
        if not self.batches[batch_id].ended:
            self._end(batch_id, "cancelled")

    async def answers(self, place: str) -> AsyncIterator[LineAnswer]:
        for number in orjson.loads(self.files[place]):
            await self._turn()
            yield LineAnswer(number, b"{}")

    async def close(self, file_id: str) -> None:
        await self._turn()
        if any(self._lines[each.id][0] == file_id for each in self.batches.values() if not each.ended):
            raise BatchAPIError("a batch reads it", passing=True)
        self.files.pop(file_id, None)
        await self._turn()

    async def remove(self, batch_id: str) -> None:
        await self.close(self._lines[batch_id][0])

    def _end(self, batch_id: str, status: Any) -> None:
        asked = self._lines[batch_id][1]
        answered = [each for each in asked if status != "failed" and self._chance.random() < 0.5]
        self.files[output := f"output-{batch_id}"] = orjson.dumps(answered)
        self.batches[batch_id] = RemoteBatch(batch_id, status, answers=output)


def process(kept: dict[str, bytes], chance: random.Random, upstream: Upstream, batch: Batch) -> tuple[Memory, Work]:
    objects = Memory(kept, chance)
    answering: Any = upstream
    found = Work(objects, Files(objects), Register(objects), answering, lambda: CONFIG, batch, bool, nobody)
    return objects, found


async def begin(kept: dict[str, bytes], count: int) -> Batch:
    objects = Memory(kept, random.Random(0))
    file_id = shelves.new_id("file-")
    kept[shelves.content(OWNER, file_id)] = jsonl([line(f"line {at}") for at in range(count)])
    await Files(objects).add(OWNER, File(file_id, 1, 0, 2**40, "in", "batch"))
    batch = Batch(
        id=shelves.new_id("batch_"),
        key=KEY,
        endpoint=CHAT,
        input_file_id=file_id,
        created_at=int(time.time()),
        expires_at=2**40,
        output_seconds=1,
        output_file_id=shelves.new_id("file-"),
        error_file_id=shelves.new_id("file-"),
    )
    await Register(objects).add(batch)
    return batch


async def scenario(seed: int, count: int, kill_after: int, cancel_after: int, far: Far) -> None:
    chance, kept = random.Random(seed), dict[str, bytes]()
    # What a killed process leaves is nobody's.
    asyncio.get_running_loop().set_exception_handler(nobody)
    batch, upstream = await begin(kept, count), Upstream(chance)
    first_view, first = process(kept, chance, upstream, batch)
    second_view, second = process(kept, chance, upstream, batch)

    async def kill() -> None:
        for _ in range(kill_after):
            await asyncio.sleep(0)
        first_view.dead = True

    async def cancel() -> None:
        for _ in range(cancel_after):
            await asyncio.sleep(0)
        register = Register(Memory(kept, chance))
        found = await register.find(OWNER, batch.id)
        while found and found.status in ("validating", "in_progress"):
            found = await register.change(found, "cancelling")

    async def run(view: Memory, process: Work) -> Batch:
        VIEW.set(view)
        return await process.run()

    dying = asyncio.create_task(run(first_view, first))
    others = [asyncio.create_task(kill())] if kill_after else []
    others += [asyncio.create_task(cancel())] if cancel_after else []
    async with asyncio.timeout(60):
        while True:
            second_view.away = 0.04
            try:
                ended = await asyncio.create_task(run(second_view, second))
                break
            except ObjectsError:  # its runner begins again, with what is kept
                batch = await Register(Memory(kept, chance)).find(OWNER, batch.id) or batch
                second_view, second = process(kept, chance, upstream, batch)
        if kill_after:
            await asyncio.gather(*others)
            await asyncio.gather(dying, return_exceptions=True)
        else:
            await asyncio.gather(dying, *others)  # who is late changes nothing
    assert len(far.names) == len(set(far.names)), "the same lines were sent twice"
    register = Register(Memory(kept, chance))
    assert await register.find(OWNER, batch.id) == ended
    files = (ended.output_file_id if ended.has_output else "", ended.error_file_id if ended.has_errors else "")
    output, errors = (kept[shelves.content(OWNER, each)].splitlines() if each else [] for each in files)
    answers = [orjson.loads(row)["custom_id"] for row in [*output, *errors]]
    total = count if ended.status == "completed" or ended.counts.total else 0
    assert sorted(answers) == sorted(f"line {at}" for at in range(total))
    if ended.status == "completed":  # no line was forgotten
        assert [orjson.loads(row)["error"] for row in [*output, *errors]] == [None] * total
    assert (len(output), len(errors)) == (ended.counts.completed, ended.counts.failed)
    assert ended.status in (("completed", "cancelled") if cancel_after else ("completed",))


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(1, 12),
    kill_after=st.one_of(st.just(0), st.integers(1, 150)),
    cancel_after=st.one_of(st.just(0), st.integers(1, 150)),
)
def test_whatever_two_processes_do(seed: int, count: int, kill_after: int, cancel_after: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "KEEP_SECONDS", 0.0)
        patch.setattr(work, "LOOK_SECONDS", 0.0)
        patch.setattr(work, "_RETRY_SECONDS", 0.0)
        patch.setattr(courier, "POLL_SECONDS", (0.0, 0.0))
        patch.setattr(courier, "PAUSES", (0.0, 0.0))
        far = Far(random.Random(seed))
        patch.setattr(courier, "batch_api", far)
        asyncio.run(scenario(seed, count, kill_after, cancel_after, far))
