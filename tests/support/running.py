"""A running system for tests: the real command `llm-router up` on free ports, in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    """Below the ports that the kernel gives to outgoing connections: one of those may be taken before the server starts."""
    while True:
        port = random.randrange(12_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass(slots=True)
class RunningSystem:
    """`start` returns when the command has said "ready"; `stop` sends SIGTERM and returns the exit code."""

    folder: Path
    config: Path | None = None
    model_repository: Path | None = None
    flags: tuple[str, ...] = ()
    program: tuple[str, ...] = ()  # default: this checkout's
    environment_of_program: Mapping[str, str] | None = None
    http_port: int = field(default_factory=free_port)
    grpc_port: int = field(default_factory=free_port)
    metrics_port: int = field(default_factory=free_port)
    gateway_port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    @property
    def gateway(self) -> str:
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def triton(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def metrics(self) -> str:
        return f"http://127.0.0.1:{self.metrics_port}/metrics"

    @property
    def admin_key(self) -> str:
        return (self.state_dir / "triton-admin.key").read_text()

    @property
    def environment(self) -> dict[str, str]:
        """For `llm-router` commands against this system."""
        return {**clean_environment(), "LLM_ROUTER_URL": self.gateway, "LLM_ROUTER_TRITON": self.grpc}

    def command(self) -> list[str]:
        options = {
            "--state-dir": self.state_dir,
            "--http-port": self.http_port,
            "--grpc-port": self.grpc_port,
            "--metrics-port": self.metrics_port,
            "--gateway-port": self.gateway_port,
            "--config": self.config,
            "--model-repository": self.model_repository,
        }
        given = [str(part) for pair in options.items() if pair[1] is not None for part in pair]
        return [*(self.program or llm_router()), "up", *given, *self.flags]

    def start(self, seconds: float = 120) -> RunningSystem:
        self.folder.mkdir(parents=True, exist_ok=True)
        output = self.folder / "up.log"
        with output.open("w") as file:
            self.process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                env=self.environment_of_program or clean_environment(),
                stdout=file,
                stderr=subprocess.STDOUT,
                text=True,
            )
        deadline = time.monotonic() + seconds
        while "\nready" not in output.read_text():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"the system did not start:\n{output.read_text()}")
            time.sleep(0.05)
        return self

    def stop(self, seconds: float = 60) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def logs(self) -> str:
        """Everything that the parts have logged."""
        return "\n".join(file.read_text(errors="replace") for file in sorted((self.state_dir / "logs").glob("*.log")))

    def pids(self) -> dict[int, str]:
        """Every process of the system, children of children included: id to command line."""
        assert self.process is not None
        return descendants(self.process.pid)


def is_gateway(command: str) -> bool:
    """Whether a command line is the gateway's; of several workers their parent's."""
    return "-m router_backend.gateway " in command and "--worker" not in command


def llm_router() -> list[str]:
    """The command of this checkout."""
    return [sys.executable, "-m", "router_backend.cli.main"]


def clean_environment() -> Mapping[str, str]:
    """This process's environment, without settings of a deployment, and with this checkout's packages first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LLM_ROUTER_")}
    return {**kept, "PYTHONPATH": f"{PROJECT}:{PROJECT / 'clients'}"}


def descendants(root: int) -> dict[int, str]:
    """Processes below `root` (itself included), from /proc."""
    parents, commands = {}, {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if state != "Z":
            parents[int(entry.name)], commands[int(entry.name)] = int(parent), command
    found, size = {root}, 0
    while size != len(found):
        size = len(found)
        found |= {pid for pid, parent in parents.items() if parent in found}
    return {pid: commands[pid] for pid in found if pid in commands}
