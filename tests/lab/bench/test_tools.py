"""What the bench tells perf_analyzer and aiperf, and what it reads in their reports."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from router_backend.lab.bench.aiperf import read
from router_backend.lab.bench.packages import ToolFailed, call
from router_backend.lab.bench.perf_analyzer import read_latency, request_data
from router_backend.lab.bench.prompts import texts
from router_backend.lab.bench.triton_models import Case, text


def test_each_entry_is_another_prompt_without_the_batch() -> None:
    prompts = texts(64, 1)
    entries = request_data(Case("route", lambda: text(next(prompts))), 50)["data"]
    assert len({entry["text_input"]["content"][0] for entry in entries}) == 50
    assert entries[0]["text_input"]["shape"] == [1]
    assert json.loads(json.dumps(entries)) == entries


def test_numbers_and_flags_keep_their_type() -> None:
    tensors = {"input_ids": np.array([[5, 6]], np.int64), "stream": np.array([[True]])}
    (entry,) = request_data(Case("llm_router", lambda: tensors), 1)["data"]
    assert entry == {"input_ids": {"content": [5, 6], "shape": [2]}, "stream": {"content": [True], "shape": [1]}}


def test_perf_analyzer_s_microseconds_become_milliseconds(tmp_path: Path) -> None:
    report = tmp_path / "report.csv"
    report.write_text(
        "Concurrency,Inferences/Second,Client Send,p50 latency,p90 latency,p95 latency,p99 latency\n"
        "1,59.5,6,11045,24421,29453,52755\n"
    )
    found = read_latency(report, 4.0)
    assert (found.rate, found.count) == (59.5, 238)
    assert (found.p50, found.p95, found.p99) == (11.045, 29.453, 52.755)


def test_aiperf_s_headline_figures_are_read(tmp_path: Path) -> None:
    triple = {"p50": 1.0, "p95": 2.0, "p99": 3.0, "avg": 1.5}
    report = {
        "request_count": {"avg": 60.0},
        "time_to_first_token": triple,
        "inter_token_latency": triple,
        "request_latency": triple,
        "request_throughput": {"avg": 42.0},
        "output_token_throughput": {"avg": 8424.0},
    }
    file = tmp_path / "report.json"
    file.write_text(json.dumps(report))
    found = read(file)
    assert found.requests == 60
    assert found.latencies["time to first token"] == (1.0, 2.0, 3.0)
    assert found.rates == {"requests/s": 42.0, "output tokens/s": 8424.0}


async def test_a_tool_that_fails_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match=r"code 3 .*: no such model"):
        await call(["sh", "-c", "echo no such model; exit 3"], tmp_path / "log")
