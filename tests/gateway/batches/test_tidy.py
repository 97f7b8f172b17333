"""What is removed of files and batches whose time is over, and what stays."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from router_backend.config.batches import BatchesConfig
from router_backend.gateway.batches import shelves
from router_backend.gateway.batches.files import File, Files
from router_backend.gateway.batches.record import Batch
from router_backend.gateway.batches.register import Register
from router_backend.gateway.batches.storage.disk import Disk
from router_backend.gateway.batches.tidy import UPLOAD_SECONDS, Tidy

KEY = "somebody"
OWNER = shelves.owner_of(KEY)
DAY = 86_400


class Place:
    """Files and batches in a folder, and its tidying."""

    def __init__(self, folder: Path) -> None:
        self.objects = Disk(folder)
        self.files, self.register = Files(self.objects), Register(self.objects)
        self.tidy = Tidy(self.objects, self.files, self.register, lambda: BatchesConfig(retention_days=7))

    async def file(self, expires: float) -> str:
        file_id = shelves.new_id("file-")
        await self.objects.put(shelves.content(OWNER, file_id), b"{}\n")
        await self.files.add(OWNER, File(file_id, 3, 0, int(expires), "in.jsonl", "batch"))
        return file_id

    async def batch(self, input_file_id: str, **fields: Any) -> Batch:
        batch = Batch(
            id=shelves.new_id("batch_"),
            key=KEY,
            endpoint="/v1/chat/completions",
            input_file_id=input_file_id,
            created_at=int(time.time()),
            expires_at=2**40,
            output_seconds=DAY,
            output_file_id=shelves.new_id("file-"),
            error_file_id=shelves.new_id("file-"),
        )
        batch = msgspec.structs.replace(batch, **fields)
        await self.register.add(batch)
        return batch

    async def contents(self) -> list[str]:
        return await self.objects.names(shelves.contents(OWNER))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def test_a_file_goes_when_its_time_is_over(place: Place) -> None:
    over, kept = await place.file(time.time() - 1), await place.file(time.time() + 60)
    await place.tidy.run()
    assert await place.files.ids(OWNER) == await place.contents() == [kept]
    assert over != kept


async def test_a_file_that_a_running_batch_reads_stays(place: Place) -> None:
    file_id = await place.file(time.time() - 1)
    batch = await place.batch(file_id)
    await place.tidy.run()
    assert await place.contents() == [file_id]
    batch = await place.register.change(batch, "failed")
    await place.tidy.run()
    assert await place.contents() == []
    assert await place.register.find(OWNER, batch.id) == batch  # for whoever asks how it ended


@pytest.mark.parametrize(("days", "output_days", "stays"), [(6, 1, True), (8, 1, False), (8, 9, True), (10, 9, False)])
async def test_a_batch_is_known_for_as_long_as_its_files_may_be(
    place: Place, days: float, output_days: int, stays: bool
) -> None:
    ended = int(time.time() - days * DAY)
    batch = await place.batch("file-x", status="completed", at={"completed": ended}, output_seconds=output_days * DAY)
    await place.tidy.run()
    assert (await place.register.find(OWNER, batch.id) is not None) == stays


async def test_what_a_broken_upload_left_goes_and_a_young_one_stays(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Content without an entry is an upload that is on its way, or one that broke off."""
    young = shelves.new_id("file-")
    await place.objects.put(shelves.content(OWNER, young), b"half")
    await place.tidy.run()
    assert await place.contents() == [young]
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + UPLOAD_SECONDS + 1)
    await place.tidy.run()
    assert await place.contents() == []
