"""The queries that KEDA asks, evaluated by Prometheus' own promtool."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.helm import CHART, of_kind, rendered
from tests.support.programs import system_program

EKS = CHART / "examples/eks.yaml"
TRAFFIC = [
    {"series": 'nv_inference_queue_duration_us{namespace="llm",model="classifier"}', "values": "0+600000x10"},
    {"series": 'nv_inference_request_success{namespace="llm",model="classifier"}', "values": "0+60x10"},
    {"series": 'nv_inference_queue_duration_us{namespace="llm",model="router"}', "values": "0+60000x10"},
    {"series": 'nv_inference_request_success{namespace="llm",model="router"}', "values": "0+60x10"},
]
IDLE = [{**series, "values": "7x10"} for series in TRAFFIC]


@pytest.mark.system
@pytest.mark.parametrize(
    ("part", "series", "value"),
    [
        ("triton", TRAFFIC, 10),  # milliseconds a request waits
        ("triton", IDLE, 0),  # no NaN, at which KEDA would fall back
        ("triton", [], 0),
        ("llama3-8b", [{"series": 'vllm:num_requests_waiting{namespace="llm",pod="r-llm-router-llama3-8b-0"}', "values": "3x10"}], 3),
    ],
)  # fmt: skip
def test_a_query_has_a_number_with_traffic_and_without(
    part: str, series: list[dict[str, str]], value: float, tmp_path: Path
) -> None:
    scaled = of_kind(rendered(EKS), "ScaledObject", part)[0]
    query = scaled["spec"]["triggers"][0]["metadata"]["query"]
    expected = {"expr": query, "eval_time": "5m", "exp_samples": [{"labels": "{}", "value": value}]}
    case: dict[str, Any] = {"interval": "1m", "input_series": series, "promql_expr_test": [expected]}
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"tests": [case]}))
    done = subprocess.run(
        [system_program("promtool"), "test", "rules", file], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_none_at_night_means_none() -> None:
    night = {"start": "0 20 * * *", "end": "0 6 * * *", "replicas": 0}
    values = {"gateway.autoscaling": {"enabled": True, "kind": "keda", "minReplicas": 0, "night": night}}
    spec = of_kind(rendered(values), "ScaledObject", "gateway")[0]["spec"]
    assert spec["minReplicaCount"] == 0
    assert spec["triggers"][1]["metadata"]["desiredReplicas"] == "0"
