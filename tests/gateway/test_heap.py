"""What large answers took is the system's again."""

from __future__ import annotations

import asyncio

import pytest

from router_backend.gateway import heap


async def test_memory_that_is_free_below_something_in_use_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "_SECONDS", 0.01)
    task = asyncio.create_task(heap.return_free_memory())
    await asyncio.sleep(0)  # it has seen how little there was
    before = heap._resident()
    pieces = [b"x" * 65_000 for _ in range(3_000)]
    kept = pieces[::300]  # the last ones included, or nearly
    pieces.clear()
    async with asyncio.timeout(30):
        while heap._resident() > before + 64 * 1024 * 1024:
            await asyncio.sleep(0.02)
    assert len(kept) == 10
    assert not task.done()
    task.cancel()
