"""Background work goes on after whatever error, and says so."""

from __future__ import annotations

import asyncio

import pytest

from router_backend.core import background
from router_backend.core.background import kept, kept_thread


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "PAUSES", (0.001, 0.002))


async def test_a_task_goes_on_after_errors_and_each_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    failed: list[str] = []
    ends = iter([ValueError("a secret"), RuntimeError("x"), None])

    async def work() -> None:
        if error := next(ends):
            raise error

    await kept("it", work, failed.append)
    assert failed == ["it", "it"]
    assert "it failed with ValueError" in caplog.text
    assert "a secret" not in caplog.text


async def test_a_task_can_be_cancelled_in_its_work_and_between() -> None:
    async def hangs() -> None:
        await asyncio.Event().wait()

    async def breaks() -> None:
        raise OSError

    for work in (hangs, breaks):
        task = asyncio.create_task(kept("it", work))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_a_thread_goes_on_after_errors() -> None:
    failed: list[str] = []
    ends = iter([ValueError(), KeyError(), None])

    def work() -> None:
        if error := next(ends):
            raise error

    thread = kept_thread("it", work, failed.append)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert thread.daemon
    assert failed == ["it", "it"]


def test_the_pause_grows_to_its_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "PAUSES", (1.0, 5.0))
    rounds = background._Rounds("it", None)
    assert [rounds.failure(ValueError()) for _ in range(4)] == [1, 2, 4, 5]
    monkeypatch.setattr(background, "CALM_SECONDS", -1.0)
    assert rounds.failure(ValueError()) == 1
