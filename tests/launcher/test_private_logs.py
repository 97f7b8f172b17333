"""What services write to their logs is for the owner of the state folder."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from router_backend.core.supervisor import Service, Supervisor


async def test_logs_are_for_their_owner_those_of_before_included(tmp_path: Path) -> None:
    (tmp_path / "old.log").write_text("before\n")
    (tmp_path / "old.log").chmod(0o644)
    logs = [tmp_path / "old.log", tmp_path / "logs" / "new.log"]

    async def ready() -> bool:
        return True

    supervisor = Supervisor(
        [Service(name=log.stem, command=["sleep", "60"], environment={}, log_file=log, ready=ready) for log in logs]
    )
    await supervisor.start(within=20)
    await supervisor.stop()
    assert [log.stat().st_mode & 0o777 for log in logs] == [0o600, 0o600]
    assert logs[1].parent.stat().st_mode & 0o777 == 0o700


async def test_a_log_is_bounded_while_its_service_goes_on_writing(tmp_path: Path) -> None:
    log, limit = tmp_path / "part.log", 10_000
    writes = "import time\nfor i in range(10**9): print(f'line {i}', 'x' * 90, flush=True); time.sleep(0.0005)"

    async def ready() -> bool:
        return True

    part = Service(
        name="part", command=[sys.executable, "-c", writes], environment={}, log_file=log, ready=ready, stop_seconds=1
    )
    supervisor = Supervisor([part], log_bytes=limit, log_check_seconds=0.01)
    await supervisor.start(within=20)
    aside, seen = tmp_path / "part.log.1", set()
    async with asyncio.timeout(30):
        while len(seen) < 3:  # moved aside again and again
            await asyncio.sleep(0.01)
            if aside.exists() and (content := aside.read_bytes()):
                seen.add(content[:20])
    assert log.read_bytes()[:1] != b"\0"
    await supervisor.stop()
    assert aside.stat().st_size <= 2 * limit
    assert [path.stat().st_mode & 0o777 for path in (log, aside)] == [0o600, 0o600]
