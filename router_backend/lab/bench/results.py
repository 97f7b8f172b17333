"""What one run found, and on which machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from router_backend.distribution import NAME
from router_backend.lab.bench.aiperf import Aiperf
from router_backend.lab.bench.bandit_costs import BanditCost
from router_backend.lab.bench.bodies import Found
from router_backend.lab.bench.cores import OnCores
from router_backend.lab.bench.measure import Latency, Measured, Plan
from router_backend.lab.bench.memory import Soak
from router_backend.lab.bench.stores import StoreRates
from router_backend.lab.bench.triton_models import ByClients

_VERSIONS = (NAME, "nvidia-pytriton", "onnxruntime", "numpy", "uvloop", "aiohttp", "grpcio")


@dataclass(slots=True, kw_only=True)
class Results:
    """Everything that one run found."""

    started: str
    command: str
    machine: dict[str, str]
    versions: dict[str, str]
    plan: dict[str, Any]
    targets: list[Measured] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)  # peer or tool to the reason
    lengths: dict[str, dict[int, Latency]] = field(default_factory=dict)
    encoder: dict[int, Latency] = field(default_factory=dict)  # by tokens
    triton: dict[str, ByClients] = field(default_factory=dict)
    perf_analyzer: dict[str, ByClients] = field(default_factory=dict)
    aiperf: Aiperf | None = None
    bodies: list[Found] = field(default_factory=list)
    cores: list[OnCores] = field(default_factory=list)
    soak: Soak | None = None
    crowd: dict[str, float] = field(default_factory=dict)
    starts: dict[str, float] = field(default_factory=dict)
    feedback: dict[str, ByClients] = field(default_factory=dict)  # through Triton, by store
    stores: dict[str, StoreRates] = field(default_factory=dict)
    bandits: list[BanditCost] = field(default_factory=list)
    seconds: float = 0.0

    def target(self, name: str) -> Measured | None:
        return next((target for target in self.targets if target.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def begin(plan: Plan) -> Results:
    """Results of a run that starts now, on this machine."""
    return Results(
        started=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        command=" ".join(["llm-router", *sys.argv[1:]]),
        machine=_machine(),
        versions=_versions(),
        plan=asdict(plan),
    )


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
    for name in _VERSIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "checkout"
    return found
