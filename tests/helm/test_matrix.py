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


# Their validators pass over fields that they don't know, as the API server does. A field is known where some value of it is
# refused, so each is given wrong ones in turn.
VALIDATE = """
import { readFileSync } from 'fs';
const WRONG = [true, 0.5, 'x', [[]], { x: [] }];
const paths = (node, at = []) => node !== null && typeof node === 'object'
  ? Object.entries(node).flatMap(([key, value]) => [[...at, key], ...paths(value, [...at, key])])
  : [];
for (const [name, object] of JSON.parse(readFileSync(0))) {
  const kind = (await import(`@kubernetes-models/${name}/${object.apiVersion}`))[object.kind];
  const refuses = (given) => { try { new kind(given).validate(); return false; } catch { return true; } };
  new kind(object).validate();
  for (const path of paths(object)) {
    const known = WRONG.some((value) => {
      const copy = structuredClone(object);
      path.slice(0, -1).reduce((node, key) => node[key], copy)[path.at(-1)] = value;
      return refuses(copy);
    });
    if (!known) throw new Error(`${object.kind} has no field ${path.join('.')}`);
  }
}
"""
PACKAGES = {
    "karpenter.sh/v1": "karpenter",
    "gateway.networking.k8s.io/v1": "gateway-api",
    "keda.sh/v1alpha1": "keda",
    "monitoring.coreos.com/v1": "prometheus-operator",
}


def _refusal(*objects: dict[str, Any]) -> str:
    """What npm's schemas say against the objects: nothing, or the first error."""
    modules = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llm-router/node/node_modules"
    assert shutil.which("node"), "node is needed: apt-get install nodejs npm"
    assert modules.is_dir(), "the kinds' schemas are not installed: run tests/tools/install-node-packages"
    given = json.dumps([(PACKAGES[item["apiVersion"]], item) for item in objects])
    command = ["node", "--input-type=module", "--eval", VALIDATE]  # packages are looked up from the working folder
    done = subprocess.run(
        command, cwd=modules.parent, input=given, capture_output=True, text=True, timeout=300, check=False
    )
    return done.stderr


def _of_other_kinds() -> list[dict[str, Any]]:
    route = {"gatewayApi": {"enabled": True, "parentRefs": [{"name": "g"}], "hostnames": ["h.example.com"]}}
    return [item for item in (*rendered(EKS, route), *MANIFESTS) if item["apiVersion"] in PACKAGES]


def test_kinds_of_karpenter_gateway_api_keda_and_the_prometheus_operator() -> None:
    objects = _of_other_kinds()
    kinds = {item["kind"] for item in objects}
    assert kinds == {"HTTPRoute", "NodePool", "PodMonitor", "PrometheusRule", "ScaledObject", "ServiceMonitor"}
    assert _refusal(*objects) == ""


@pytest.mark.parametrize("kind", ["HTTPRoute", "NodePool", "PodMonitor", "PrometheusRule", "ScaledObject"])
def test_a_field_that_a_kind_does_not_have_is_found(kind: str) -> None:
    item = next(item for item in _of_other_kinds() if item["kind"] == kind)
    assert f"{kind} has no field spec.misspelt" in _refusal({**item, "spec": {**item["spec"], "misspelt": "x"}})
