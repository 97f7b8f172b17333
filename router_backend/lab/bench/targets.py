"""What is measured: the upstream itself, and this system by named model, by `auto`, unseen and repeated."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from router_backend.config.runtime import LOCAL_PROFILE
from router_backend.lab.bench import prompts
from router_backend.lab.bench.processes import Running, free_port

_START_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Target:
    """One way to ask for an answer."""

    name: str
    port: int
    model: str
    running: Running | None = None  # None: direct to the upstream
    headers: dict[str, str] = field(default_factory=dict)
    unseen: bool = True
    note: str = ""

    def requests(self, tokens: int = 64, *, stream: bool = False, seed: int = 0) -> Callable[[], bytes]:
        return prompts.requests(self.model, tokens, unseen=self.unseen, stream=stream, headers=self.headers, seed=seed)


@dataclass(frozen=True, slots=True)
class Ours:
    """This system on free ports, in a folder of its own."""

    running: Running
    port: int
    grpc_port: int
    first_start: float  # seconds until the gateway is ready
    second_start: float

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    def targets(self) -> list[Target]:
        named = Target(
            "llm-router, named model", self.port, "llama3-8b", self.running, note="no decision: the proxy alone"
        )
        auto = replace(named, name="llm-router, auto", model="auto", note="unseen prompts: classifier and bandit")
        repeated = replace(auto, name="llm-router, auto, repeated", unseen=False, note="the classifier's cache answers")
        return [named, auto, repeated]


async def start_upstream(folder: Path) -> tuple[Running, int]:
    port = free_port()
    command = [sys.executable, "-m", "router_backend.lab.bench.upstream", "--port", str(port)]
    running = Running.start("upstream", command, folder / "upstream.log")
    await running.until(port, b"GET / HTTP/1.1\r\n\r\n", 30)
    return running, port


def direct(port: int) -> Target:
    return Target("direct", port, "static")


def router_config(upstream: int, store: str | None = None, extproc: int | None = None) -> str:
    """The local profile's arms and prices on the static upstream; a decision may wait as long as it takes.

    The default deadline would turn overload into answers of the default model, which cost nothing to decide.
    """
    config = yaml.safe_load(LOCAL_PROFILE.read_text())
    for model in config["models"]:
        model["max_concurrency"] = 2000  # a thousand streams at once are part of the run
        model["upstream"] = {"kind": "openai", "base_url": f"http://127.0.0.1:{upstream}/v1", "model": "static"}
    config["routing"] = {"deadline_ms": 10_000}
    if store is not None:
        config["state"] = store
    if extproc is not None:
        config["gateway"] = {"extproc_port": extproc}
    return str(yaml.safe_dump(config, sort_keys=False))


async def start_ours(
    folder: Path,
    upstream: int,
    twice: bool = True,
    store: str | None = None,
    extproc: int | None = None,
    cores: Iterable[int] = (),
) -> Ours:
    """Start this system, with `twice` a second time: the second start finds everything in place.

    `store`: URL of its state; None: SQLite. `extproc`: port on which an Envoy may ask the gateway. `cores`: that it may use;
    none: all of them.
    """
    state = Path(tempfile.mkdtemp(prefix="state-", dir=folder))
    config = folder / "router.yaml"
    config.write_text(router_config(upstream, store, extproc))
    seconds: list[float] = []
    for _ in range(2 if twice else 1):
        gateway, grpc = free_port(), free_port()
        command = [
            *(sys.executable, "-m", "router_backend.cli.main", "up", "--config", str(config)),
            *("--state-dir", str(state), "--gateway-port", str(gateway), "--grpc-port", str(grpc)),
            *("--http-port", "0", "--metrics-port", "0"),
        ]
        running = Running.start("llm-router", command, folder / "llm-router.log", cores=cores)
        try:
            ready = b"GET /health/ready HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
            seconds.append(await running.until(gateway, ready, _START_SECONDS))
        except BaseException:
            running.stop()
            raise
        if twice and len(seconds) == 1:
            running.stop()
    return Ours(running, gateway, grpc, seconds[0], seconds[-1])
