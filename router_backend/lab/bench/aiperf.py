"""The gateway by NVIDIA's aiperf: streamed answers to synthetic prompts, routed by `auto`."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from router_backend.classifier.artifact import newest_artifact
from router_backend.classifier.repository import MODEL_REPOSITORY
from router_backend.contract import TOKENIZER_FILE
from router_backend.lab.bench.packages import Package, call

TOOL = Package(name="aiperf", package="aiperf==0.13.0", program="bin/aiperf")
CLIENTS = 4
_TOKENS = 56  # with the classifier's prefix and ends, 64
_WARMUP = 20
_LATENCIES = {
    "time to first token": "time_to_first_token",
    "inter-token latency": "inter_token_latency",
    "request latency": "request_latency",
}
_RATES = {"requests/s": "request_throughput", "output tokens/s": "output_token_throughput"}


@dataclass(frozen=True, slots=True)
class Aiperf:
    """Of one run. Milliseconds (p50, p95, p99), and rates a second."""

    requests: int
    latencies: dict[str, tuple[float, float, float]]
    rates: dict[str, float]


async def measure_aiperf(port: int, requests: int, scratch: Path) -> Aiperf:
    """One run of so many requests; no prompt comes twice.

    Raises:
        ToolFailed: aiperf ended with an error.
    """
    tokenizer, out = scratch / "aiperf-tokenizer", scratch / "aiperf"
    tokenizer.mkdir(exist_ok=True)
    # A folder is read as it is; a name would be looked up on the model hub.
    shutil.copy(newest_artifact(MODEL_REPOSITORY / "classifier") / TOKENIZER_FILE, tokenizer / "tokenizer.json")
    (tokenizer / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    command = [
        *(TOOL.path, "profile", "--model", "auto", "--url", f"http://127.0.0.1:{port}", "--endpoint-type", "chat"),
        *("--streaming", "--tokenizer", str(tokenizer), "--isl", str(_TOKENS), "--isl-stddev", "0"),
        *("--num-dataset-entries", str(requests + _WARMUP), "--request-count", str(requests)),
        *("--warmup-request-count", str(_WARMUP), "--concurrency", str(CLIENTS), "--random-seed", "1"),
        *("--workers-max", "1", "--record-processor-service-count", "1", "--no-server-metrics", "--no-gpu-telemetry"),
        *("--ui", "none", "--output-artifact-dir", str(out)),
    ]
    await call(command, scratch / "aiperf.log", {"HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"})
    return read(out / "profile_export_aiperf.json")


def read(report: Path) -> Aiperf:
    """The report that aiperf writes."""
    found = json.loads(report.read_text())
    return Aiperf(
        requests=int(found["request_count"]["avg"]),
        latencies={name: tuple(found[key][p] for p in ("p50", "p95", "p99")) for name, key in _LATENCIES.items()},
        rates={name: found[key]["avg"] for name, key in _RATES.items()},
    )
