"""Tritons of our own: one whose HTTP listens on TCP, one whose HTTP listens on a Unix socket (2.51 has one or the other)."""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from router_backend.classifier.repository import MODEL_REPOSITORY
from router_backend.config.runtime import CONFIG, LOCAL_PROFILE, LOCAL_URL, STATE_DIR
from router_backend.gateway.triton_client import TritonClient
from router_backend.lab.bench.processes import NotReady, Running, free_port, total
from router_backend.triton.server import embedded

_START_SECONDS = 180.0
_CACHE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Server:
    """A running Triton."""

    running: Running
    settings: embedded.TritonSettings

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.settings.grpc_port}"

    @property
    def http(self) -> str:
        """As the gateway's client takes it: `unix:<path>`, or `<host>:<port>`."""
        socket = self.settings.http_socket
        return f"unix:{socket}" if socket else f"127.0.0.1:{self.settings.http_port}"

    def cpu(self) -> float:
        """Seconds of processor time of all its processes."""
        return total(self.running.usage()).cpu

    def send(self, number: signal.Signals) -> None:
        """A signal to tritonserver itself."""
        self.running.process.send_signal(number)

    def freeze(self) -> None:
        """Stop it; it is when this returns."""
        self.send(signal.SIGSTOP)
        while any(state != "T" for state in self._states()):
            time.sleep(0.001)

    def _states(self) -> Iterator[str]:
        for thread in Path(f"/proc/{self.running.process.pid}/task").iterdir():
            yield (thread / "stat").read_text().rpartition(")")[2].split()[0]


async def start(folder: Path, name: str, socket: bool) -> Server:
    """Start one, and wait until it decides.

    Raises:
        NotReady: it ended, or did not within three minutes.
    """
    work_dir = folder / name
    work_dir.mkdir()
    settings = embedded.TritonSettings(
        host="127.0.0.1",
        http_port=free_port(),
        grpc_port=free_port(),
        metrics_port=free_port(),
        model_repository=MODEL_REPOSITORY,
        work_dir=work_dir,
        admin_key=secrets.token_urlsafe(16),
        cache_bytes=_CACHE_BYTES,
        http_socket=work_dir / "http.sock" if socket else None,
    )
    environment = embedded.environment(
        {CONFIG: str(LOCAL_PROFILE), STATE_DIR: str(work_dir), LOCAL_URL: "http://127.0.0.1:9/v1"}  # no model is asked
    )
    running = Running.start(name, embedded.command(settings), folder / f"{name}.log", environment)
    server = Server(running, settings)
    client = TritonClient(server.grpc)
    until = time.monotonic() + _START_SECONDS
    try:
        while not await client.decides():
            if running.process.poll() is not None or time.monotonic() > until:
                running.stop()
                raise NotReady(f"{name} did not start (log: {running.log})")
    finally:
        await client.aclose()
    return server


def stop(server: Server) -> None:
    server.running.stop()
    embedded.free_shared_memory(server.settings)
