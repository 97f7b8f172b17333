"""Slow: many combinations of options, every version of Kubernetes, and the kinds that only npm has schemas of."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from router_backend.config import parse_config
from tests.helm.test_mesh_page import MANIFESTS
from tests.support.helm import CHART, EXAMPLES, of_kind, rendered
from tests.support.kubernetes import check

pytestmark = pytest.mark.slow
PROJECT = Path(__file__).resolve().parents[2]

CPU, EKS = CHART / "examples/cpu-only.yaml", CHART / "examples/eks.yaml"
BACKENDS: list[dict[str, Any]] = [
    {"state.backend": "sqlite"},
    {"state.backend": "redis", "triton.replicas": 3},
    {"state.backend": "redis", "state.redis.existingSecret": "s", "triton.autoscaling.enabled": True},
    {"state.backend": "redis", "state.redis.url": "rediss://r.example.com:6380/1"},
]
SCALING: list[dict[str, Any]] = [
    {"gateway.replicas": 3},
    {"gateway.autoscaling.enabled": True},
    {
        "gateway.autoscaling": {
            "enabled": True,
            "kind": "keda",
            "night": {"start": "0 20 * * *", "end": "0 6 * * *", "replicas": 1},
        }
    },
]
REPOSITORY: list[dict[str, Any]] = [
    {"triton.modelRepository.source": "image"},
    {"triton.modelRepository": {"source": "pvc", "existingClaim": "models"}, "triton.classifierGpu.enabled": True},
    {"triton.modelRepository": {"source": "objectStorage", "remote": ":s3:b/m", "existingSecret": "s3"}},
]
LET_IN: dict[str, Any] = {"networkPolicy.gatewayFrom": ["ingress-nginx"]}
WAYS_IN: list[dict[str, Any]] = [
    {},
    {"ingress": {"enabled": True, "host": "h.example.com", "tlsSecret": "tls"}, **LET_IN},
    {"gatewayApi": {"enabled": True, "parentRefs": [{"name": "g"}], "hostnames": ["h.example.com"]}, **LET_IN},
    {
        "gateway.service": {"type": "LoadBalancer", "port": 443},
        "networkPolicy.gatewayFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
    },
]
KEYS = {"router.security.api_keys": [{"name": "app", "sha256": "0" * 64}], "gateway.allowUnauthenticated": False}
EXTRAS: list[dict[str, Any]] = [
    {"networkPolicy.enabled": False, "podDisruptionBudget.enabled": False, "topologySpread.enabled": False},
    {
        "monitoring.serviceMonitor.enabled": True,
        "monitoring.podMonitor.enabled": True,
        "monitoring.prometheusRule.enabled": True,
        "podLabels": {"team": "ml"},
        "podAnnotations": {"note": "x"},
        "gateway.nodeSelector": {"disk": "ssd"},
        "triton.runtimeClassName": "nvidia",
        "triton.env": [{"name": "A", "value": "b"}],
        "cronJobs.report.enabled": True,
    },
]
MATRIX = list(itertools.product(BACKENDS, SCALING, REPOSITORY, WAYS_IN, EXTRAS))


@pytest.mark.parametrize("part", range(12))
def test_every_combination_renders_valid_objects(part: int) -> None:
    for options in MATRIX[part::12]:
        values: dict[str, Any] = dict(KEYS)
        for option in options:
            values |= option
        objects = rendered(CPU, values, major=3 + part % 2)
        check(objects, "1.30")
        parse_config(of_kind(objects, "ConfigMap", "-config")[0]["data"]["router.yaml"])


@pytest.mark.parametrize("version", ["1.28", "1.29", "1.30", "1.31", "1.32", "1.33", "1.35", "1.36", "1.37"])
def test_the_examples_fit_every_version_of_kubernetes(version: str) -> None:
    for values in EXAMPLES:
        check(rendered(values), version)


def test_kinds_of_karpenter_gateway_api_keda_and_the_prometheus_operator() -> None:
    modules = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llm-router/node/node_modules"
    assert shutil.which("node"), "node is needed: apt-get install nodejs npm"
    assert modules.is_dir(), "the kinds' schemas are not installed: run tests/tools/install-node-packages"
    packages = {
        "karpenter.sh/v1": "karpenter",
        "gateway.networking.k8s.io/v1": "gateway-api",
        "keda.sh/v1alpha1": "keda",
        "monitoring.coreos.com/v1": "prometheus-operator",
    }
    route = {"gatewayApi": {"enabled": True, "parentRefs": [{"name": "g"}], "hostnames": ["h.example.com"]}}
    objects = [item for item in rendered(EKS, route) if item["apiVersion"] in packages]
    assert {item["kind"] for item in objects} >= {"NodePool", "HTTPRoute", "ScaledObject", "PrometheusRule"}
    objects += [item for item in MANIFESTS if item["apiVersion"] in packages]
    script = (
        "import { readFileSync } from 'fs';\n"
        "for (const [name, object] of JSON.parse(readFileSync(0))) {\n"
        "  const kinds = await import(`@kubernetes-models/${name}/${object.apiVersion}`);\n"
        "  new kinds[object.kind](object).validate();\n"
        "}\n"
    )
    given = json.dumps([(packages[item["apiVersion"]], item) for item in objects])
    command = ["node", "--input-type=module", "--eval", script]  # packages are looked up from the working folder
    done = subprocess.run(
        command, cwd=modules.parent, input=given, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
