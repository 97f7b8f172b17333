"""What services write to their logs is for the owner of the state folder."""

from __future__ import annotations

from pathlib import Path

from router_backend.launcher.supervisor import Service, Supervisor


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
