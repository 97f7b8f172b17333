"""Processes under test: started in a group of their own, their processor time and memory read from /proc."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from router_backend.lab.bench.client import BadAnswer, Connection

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_POLL_SECONDS = 0.05


class NotReady(RuntimeError):
    """A process under test ended or didn't answer in time; says which log to read."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class Running:
    """One process under test and its children."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @classmethod
    def start(
        cls,
        name: str,
        command: Sequence[str],
        log: Path,
        environment: dict[str, str] | None = None,
        cores: Iterable[int] = (),
    ) -> Running:
        """`cores`: that it and all its children may use, by number; none: all of them."""
        if cores:
            command = ["taskset", "--cpu-list", ",".join(map(str, cores)), *command]
        with log.open("wb") as output:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        return cls(name, process, log)

    async def until(self, port: int, request: bytes, seconds: float) -> float:
        """Wait until `request` is answered with 200; returns the seconds that it took.

        Raises:
            NotReady: the process ended, or `seconds` passed.
        """
        started, last = time.perf_counter(), ""
        while time.perf_counter() - started < seconds:
            if self.process.poll() is not None:
                raise NotReady(f"{self.name} ended with code {self.process.returncode} (log: {self.log})")
            try:
                async with asyncio.timeout(10):
                    connection = await Connection.open(port)
                    await connection.send(request)
                connection.close()
                return time.perf_counter() - started
            except (OSError, BadAnswer) as error:
                last = str(error)
            await asyncio.sleep(_POLL_SECONDS)
        raise NotReady(f"{self.name} did not answer on port {port} within {seconds:.0f} s: {last} (log: {self.log})")

    def stop(self) -> None:
        """SIGTERM, then SIGKILL for what is left of the group after 20 s."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def usage(self, without: frozenset[str] = frozenset()) -> dict[str, Usage]:
        """Processor seconds and resident bytes by part: a short name of the command line."""
        parts: dict[str, Usage] = {}
        for pid in descendants(self.process.pid):
            try:
                part, found = part_name(pid), _usage(pid)
            except (OSError, IndexError):
                continue  # it has just ended
            if part not in without:
                parts[part] = parts.get(part, Usage()) + found
        return parts


@dataclass(frozen=True, slots=True)
class Usage:
    cpu: float = 0.0  # seconds of processor time, user and system
    rss: int = 0  # bytes resident, pages shared with others included

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.cpu + other.cpu, self.rss + other.rss)


def total(parts: dict[str, Usage]) -> Usage:
    return sum(parts.values(), Usage())


def _usage(pid: int) -> Usage:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return Usage((int(fields[11]) + int(fields[12])) / _TICK, int(fields[21]) * _PAGE)


def part_name(pid: int) -> str:
    """A Python model of Triton by its folder, another process by its program or module."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    if words[0].endswith("triton_python_backend_stub"):
        return "triton:" + Path(words[1]).parents[1].name  # …/model_repository/MODEL/VERSION/file
    for flag in ("-m", "-c"):
        if flag in words[:4]:
            return words[words.index(flag) + 1].split("\n")[0][:40]
    return Path(words[0]).name or "kernel"


def descendants(root: int) -> list[int]:
    """Process ids below `root`, itself included."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found
