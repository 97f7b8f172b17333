"""Triton alone, by NVIDIA's perf_analyzer: latency at 1 and 16 clients, over gRPC.

PyPI's own wheel of it (`perf-analyzer`) needs glibc 2.38, newer than Debian 12's. The wheel of tritonclient 2.50.0 holds the
program, too; the two libraries that it doesn't hold come with nvidia-pytriton.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from router_backend.lab.bench.measure import Latency, Plan
from router_backend.lab.bench.packages import Package, call
from router_backend.lab.bench.triton_models import ByClients, Case, Tensors, cache_counts, cases

log = logging.getLogger(__name__)
TOOL = Package(name="perf_analyzer", package="tritonclient==2.50.0", program="bin/perf_analyzer")
_LIBRARIES = {"libb64.so.0d": "libb64-*.so.0d", "libcudart.so.12": "libcudart-*.so.12.*"}
_WINDOWS = 3  # that it measures at least
_SHORTEST_WINDOW = 1.0  # seconds: some answers take tenths of one


async def measure_perf_analyzer(
    url: str, expected: dict[str, ByClients], plan: Plan, scratch: Path
) -> dict[str, ByClients]:
    """By case and clients, as `measure_triton`. `expected` is what that found: it says how many prompts will do.

    Raises:
        ToolFailed: perf_analyzer ended with an error.
    """
    environment = {"LD_LIBRARY_PATH": str(libraries(scratch / "perf_analyzer-libraries"))}
    window = max(_SHORTEST_WINDOW, plan.triton / _WINDOWS)
    found: dict[str, ByClients] = {}
    for name, case in (await cases(url, 600)).items():
        for clients, before in expected[name].items():
            file = scratch / f"perf_analyzer-{case.model}-{clients}"
            number = int(2 * before.rate * window * _WINDOWS) + 500 if case.distinct else 1
            file.with_suffix(".json").write_text(json.dumps(request_data(case, number)))
            hits, _ = await cache_counts(url)
            await call(_command(url, case, clients, window, file), file.with_suffix(".log"), environment)
            again = (await cache_counts(url))[0] - hits
            result = read_latency(file.with_suffix(".csv"), window * _WINDOWS)
            if case.distinct and again:
                log.warning("perf_analyzer, %s: %d of its prompts came again", name, again)
                result = replace(result, failure=f"{again} prompts came again")
            found.setdefault(name, {})[clients] = result
    return found


def _command(url: str, case: Case, clients: int, window: float, file: Path) -> list[str]:
    return [
        *(TOOL.path, "-m", case.model, "-u", url, "-i", "grpc", *(("--streaming",) if case.streams else ())),
        *("--input-data", str(file.with_suffix(".json")), "-f", str(file.with_suffix(".csv"))),
        *("--concurrency-range", str(clients), "--measurement-interval", str(round(1e3 * window))),
        # Whatever was measured counts: on a busy machine it would otherwise go on until three windows are alike.
        *("--max-trials", str(_WINDOWS), "--stability-percentage", "999"),
    ]


def request_data(case: Case, number: int) -> dict[str, Any]:
    """The program's input file; it takes one entry after the other, and starts over when it has none left."""
    return {"data": [_entry(case.inputs()) for _ in range(number)]}


def _entry(tensors: Tensors) -> dict[str, Any]:
    return {
        name: {
            "content": [v.decode() if isinstance(v, bytes) else v for v in value.reshape(-1).tolist()],
            "shape": list(value.shape[1:]),  # the program adds the batch
        }
        for name, value in tensors.items()
    }


def read_latency(report: Path, seconds: float) -> Latency:
    """The program's CSV report, of `seconds` in all."""
    row = next(csv.DictReader(report.open()))
    rate = float(row["Inferences/Second"])
    p50, p95, p99 = (float(row[f"p{percent} latency"]) / 1e3 for percent in (50, 95, 99))  # from µs
    return Latency(round(rate * seconds), rate, p50, p95, p99)


def libraries(folder: Path) -> Path:
    """Fills the folder with links to shared libraries, under the names that the program asks for."""
    spec = importlib.util.find_spec("pytriton")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).parents[1] / "nvidia_pytriton.libs"
    folder.mkdir(exist_ok=True)
    for name, pattern in _LIBRARIES.items():
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(next(source.glob(pattern)))
    return folder
