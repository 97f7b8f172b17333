"""Processes that are kept running, with small Python programs as services."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from router_backend.core.supervisor import Service, StartFailed, Supervisor

SECONDS = 30.0
# Says that it runs, and waits.
WAITS = "import pathlib, signal, sys; pathlib.Path(sys.argv[1]).write_text('up'); signal.pause()"
Make = Callable[..., Service]


@pytest.fixture
def service(tmp_path: Path) -> Make:
    def make(name: str = "part", program: str = WAITS, **changes: Any) -> Service:
        mark = tmp_path / f"{name}.up"

        async def ready() -> bool:
            return mark.exists()

        fields: dict[str, Any] = {
            "name": name,
            "command": [sys.executable, "-c", program, str(mark)],
            "environment": dict(os.environ),
            "log_file": tmp_path / "logs" / f"{name}.log",
            "ready": ready,
            "before_start": lambda: mark.unlink(missing_ok=True),
        }
        return Service(**{**fields, **changes})

    return make


@contextlib.asynccontextmanager
async def running(*services: Service) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(services)
    await supervisor.start(SECONDS)
    try:
        yield supervisor
    finally:
        await supervisor.stop()


def gone(process: int) -> bool:
    """Ended; a zombie, too, which only its parent can clear away."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_start_returns_when_all_are_ready_and_stop_leaves_nothing(service: Make) -> None:
    told: list[int] = []
    parts = [service("one", on_ready=told.append), service("two", on_ready=told.append)]
    async with running(*parts):
        assert sorted(told) == sorted(part.process.pid for part in parts if part.process)
    assert all(gone(process) for process in told)


async def test_a_service_that_dies_is_started_again(service: Make) -> None:
    told: asyncio.Queue[int] = asyncio.Queue()
    part = service(on_ready=told.put_nowait)
    async with running(part), asyncio.timeout(SECONDS):
        first = await told.get()
        os.kill(first, signal.SIGKILL)
        second = await told.get()
        assert second != first
        assert part.restarts == 1


async def test_a_start_that_fails_says_why_and_stops_the_others(service: Make) -> None:
    other = service("other")
    program = "import sys; print('cause: no such model'); print('error: creating server'); sys.exit(3)"
    broken = service("broken", program, failure=re.compile("cause"))
    supervisor = Supervisor([other, broken])
    with pytest.raises(
        StartFailed, match=r"broken ended with code 3 while starting: cause: no such model .*broken\.log"
    ):
        await supervisor.start(SECONDS)
    assert other.process is not None
    assert gone(other.process.pid)


async def test_a_start_that_takes_too_long_is_given_up(service: Make) -> None:
    async def never() -> bool:
        return False

    part = service(ready=never)
    with pytest.raises(StartFailed, match=r"not ready after 0 s: part .*part\.log"):
        await Supervisor([part]).start(0.2)
    assert part.process is not None
    assert gone(part.process.pid)


async def test_a_start_that_a_signal_ends_is_tried_again_but_not_for_ever(service: Make, tmp_path: Path) -> None:
    """As tritonserver 2.51 may abort while its models start."""
    aborts = "import os; print('start', flush=True); os.abort()"
    part = service("aborts", aborts)
    with pytest.raises(StartFailed, match="ended with code -6"):
        await Supervisor([part]).start(SECONDS)
    assert part.log_file.read_text().split().count("start") == 3


async def test_children_are_stopped_with_their_service(service: Make, tmp_path: Path) -> None:
    child = tmp_path / "child.pid"
    program = (
        "import pathlib, signal, subprocess, sys\n"
        "sleeper = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        f"pathlib.Path({str(child)!r}).write_text(str(sleeper.pid))\n" + WAITS
    )
    part = service(program=program)
    async with running(part):
        process = int(child.read_text())
    assert gone(process)


async def test_a_service_that_ignores_sigterm_is_killed(service: Make) -> None:
    part = service(program="import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAITS, stop_seconds=0.2)
    async with running(part):
        pass
    assert part.process is not None
    assert part.process.returncode == -signal.SIGKILL


async def test_a_signal_reaches_the_service_that_it_names(service: Make, tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    program = (
        "import pathlib, signal, sys\n"
        f"signal.signal(signal.SIGHUP, lambda *_: pathlib.Path({str(heard)!r}).touch())\n"
        "pathlib.Path(sys.argv[1]).write_text('up')\n"
        "while True: signal.pause()"
    )
    async with running(service("hears", program), service("other")) as supervisor, asyncio.timeout(SECONDS):
        supervisor.send("hears", signal.SIGHUP)
        while not heard.exists():
            await asyncio.sleep(0.01)


ANSWERS = """
import pathlib, socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1] + ".socket")
server.listen()
pathlib.Path(sys.argv[1]).write_text("up")
while True:
    server.accept()[0].send(b"yes")
"""


async def test_a_service_that_is_frozen_is_started_again(service: Make, tmp_path: Path) -> None:
    told: asyncio.Queue[int] = asyncio.Queue()
    mark = tmp_path / "part.up"

    async def alive() -> None:
        reader, writer = await asyncio.open_unix_connection(f"{mark}.socket")
        await reader.readexactly(3)
        writer.close()

    def clear() -> None:
        for file in (mark, Path(f"{mark}.socket")):
            file.unlink(missing_ok=True)

    part = service(program=ANSWERS, alive=alive, on_ready=told.put_nowait, before_start=clear)
    supervisor = Supervisor([part], ask_seconds=0.01, answer_seconds=2)
    await supervisor.start(SECONDS)
    try:
        async with asyncio.timeout(SECONDS):
            first = await told.get()
            os.kill(first, signal.SIGSTOP)
            assert await told.get() != first
        assert gone(first)
    finally:
        await supervisor.stop()


async def test_a_service_that_freezes_while_it_starts_again_is_started_once_more(service: Make) -> None:
    """`ready` never answers of the second process."""
    processes: list[int] = []

    async def ready() -> bool:
        process = made.process.pid if made.process else 0
        if process not in processes:
            processes.append(process)
        return len(processes) != 2

    made = service(ready=ready)
    supervisor = Supervisor([made])
    await supervisor.start(1.0)
    try:
        os.kill(processes[0], signal.SIGKILL)
        async with asyncio.timeout(SECONDS):
            while len(processes) < 3:
                await asyncio.sleep(0.01)
        assert gone(processes[1])
        assert made.restarts == 2
    finally:
        await supervisor.stop()
