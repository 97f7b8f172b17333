"""One run: the system, then each peer that is installed, one after the other, in front of one upstream."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from router_backend.bench.measure import Latency, Measured, Plan, Soak, by_length, crowd, measure, soak
from router_backend.bench.peers import PEERS
from router_backend.bench.processes import NotReady, Running
from router_backend.bench.targets import Ours, direct, start_ours, start_upstream
from router_backend.bench.triton import measure_triton

log = logging.getLogger(__name__)
_PACKAGES = ("llm-router", "nvidia-pytriton", "onnxruntime", "numpy", "uvloop", "aiohttp", "grpcio")

Say = Callable[[str], None]


@dataclass(slots=True, kw_only=True)
class Results:
    """Everything that one run found."""

    started: str
    command: str
    machine: dict[str, str]
    versions: dict[str, str]
    plan: dict[str, Any]
    targets: list[Measured] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)  # peer to the reason
    lengths: dict[str, dict[int, Latency]] = field(default_factory=dict)
    triton: dict[str, dict[int, Latency | float]] = field(default_factory=dict)
    soak: Soak | None = None
    crowd: dict[str, float] = field(default_factory=dict)
    starts: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def target(self, name: str) -> Measured | None:
        return next((target for target in self.targets if target.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


async def run(plan: Plan, scratch: Path, peers: Sequence[str] | None, say: Say) -> Results:
    """Measure everything. `peers` names those to start; None: all that are installed."""
    results = Results(
        started=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        command=" ".join(["llm-router", *sys.argv[1:]]),
        machine=_machine(),
        versions=_versions(),
        plan=asdict(plan),
    )
    clock = time.perf_counter()
    upstream, port = await start_upstream(scratch)
    try:
        say("direct")
        results.targets.append(await measure(direct(port), plan))
        await _ours(results, plan, scratch, port, say)
        for peer in PEERS:
            if peers is not None and peer.name not in peers:
                results.absent[peer.name] = "not asked for"
            elif not peer.installed:
                results.absent[peer.name] = "not installed: llm-router bench --install-peers"
            else:
                say(peer.name)
                try:
                    target = await peer.start(scratch, port)
                except (NotReady, OSError) as error:
                    results.absent[peer.name] = str(error)
                    continue
                try:
                    results.targets.append(await measure(target, plan, peer.version()))
                finally:
                    _stop(target.running)
    finally:
        upstream.stop()
    results.seconds = time.perf_counter() - clock
    return results


async def _ours(results: Results, plan: Plan, scratch: Path, port: int, say: Say) -> None:
    say("llm-router: two starts")
    ours: Ours = await start_ours(scratch, port)
    results.starts = {"first": ours.first_start, "second": ours.second_start}
    try:
        targets = ours.targets()
        for target in targets:
            say(target.name)
            results.targets.append(await measure(target, plan, results.versions["llm-router"]))
        say("llm-router: prompts of three lengths")
        results.lengths = await by_length(targets[1:], plan)
        say("Triton alone")
        results.triton = await measure_triton(f"127.0.0.1:{ours.grpc_port}", plan)
        say("llm-router: a thousand streams at once")
        results.crowd = await crowd(targets[0], plan.crowd_rounds)
        say(f"llm-router: memory over {plan.soak_requests} requests")
        results.soak = await soak(targets[1], plan.soak_requests)
    finally:
        ours.running.stop()


def _stop(running: Running | None) -> None:
    if running is not None:
        running.stop()


def _machine() -> dict[str, str]:
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1e6
    return {
        "processor": cpu,
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.0f} GB",
        "system": f"{platform.system()} {platform.release()}",
        "load at start": f"{os.getloadavg()[0]:.1f}",
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "checkout"
    return found
