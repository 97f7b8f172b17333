"""Rendered objects against the schemas of Kubernetes and of the operators' own kinds."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
from pydantic import BaseModel

from tests.support.nim_operator import check_nim

CORE = {"v1", "apps/v1", "batch/v1", "policy/v1", "networking.k8s.io/v1", "autoscaling/v2"}
# Without a schema on PyPI; the slow suite has npm's for the first two.
OTHER = {"gateway.networking.k8s.io/v1", "karpenter.sh/v1", "route.openshift.io/v1"}


def check(objects: list[dict[str, Any]], version: str) -> None:
    """Raises for an object that a version of Kubernetes, or the operator of its kind, would refuse."""
    for item in objects:
        kind = item["apiVersion"]
        if kind in CORE:
            kubernetes_validate.validate(item, version, strict=True)
        elif kind == "apps.nvidia.com/v1alpha1":
            check_nim(item)
        elif kind not in OTHER:
            model = _operators()[f"{kind}/{item['kind']}"]
            written = model.model_validate(item).model_dump(mode="json", by_alias=True, exclude_unset=True)
            # The models drop what they don't know; the API server would, too, silently.
            assert lost(item, written) == [], f"{item['kind']}/{item['metadata']['name']}"


def lost(given: Any, kept: Any, path: str = "") -> list[str]:
    """Paths of fields of `given` that `kept` has not."""
    if isinstance(given, dict):
        if not isinstance(kept, dict):
            return [path]
        inner = ([f"{path}.{k}"] if k not in kept else lost(v, kept[k], f"{path}.{k}") for k, v in given.items())
        return [entry for entries in inner for entry in entries]
    if isinstance(given, list) and isinstance(kept, list):
        return [entry for i, (a, b) in enumerate(zip(given, kept, strict=True)) for entry in lost(a, b, f"{path}[{i}]")]
    return []


def _operators() -> dict[str, type[BaseModel]]:
    from cloudcoil.models.keda.v1alpha1 import ScaledObject
    from cloudcoil.models.prometheus_operator.v1 import PodMonitor, PrometheusRule, ServiceMonitor

    monitoring = "monitoring.coreos.com/v1"
    return {
        f"{monitoring}/ServiceMonitor": ServiceMonitor,
        f"{monitoring}/PodMonitor": PodMonitor,
        f"{monitoring}/PrometheusRule": PrometheusRule,
        "keda.sh/v1alpha1/ScaledObject": ScaledObject,
    }
