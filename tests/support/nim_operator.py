"""The fields of NVIDIA's NIM Operator (api/apps/v1alpha1) that the chart may use: no package index holds its schemas.

Read from config/crd/bases of https://github.com/NVIDIA/k8s-nim-operator, v3.0.2 to v3.1.2: what stands here is in all of them.
"""

from __future__ import annotations

from typing import Any

from tests.support.fields import Table, check_fields

_PLACE = "env nodeSelector proxy runtimeClassName tolerations"
_PROXY = "certConfigMap httpProxy httpsProxy noProxy"
_TABLE: Table = {
    "NIMCache": f"resources source! storage! {_PLACE}",
    "NIMCache.env[]": "name! value valueFrom",
    "NIMCache.proxy": _PROXY,
    "NIMCache.resources": "cpu memory",
    "NIMCache.source": "ngc!",  # or one of dataStore and hf
    "NIMCache.source.ngc": "authSecret! model modelPuller! pullSecret",
    "NIMCache.source.ngc.model": "buildable engine gpus lora precision profiles qosProfile tensorParallelism",
    "NIMCache.storage": "pvc",
    "NIMCache.storage.pvc": "annotations create name size storageClass subPath volumeAccessMode",
    "NIMService": f"affinity annotations authSecret! draResources expose image! labels metrics multiNode priorityClassName"
    f" replicas resources scale schedulerName startupProbe storage {_PLACE}",
    "NIMService.draResources[]": "claimCreationSpec requests resourceClaimName resourceClaimTemplateName",
    "NIMService.env[]": "name! value valueFrom",
    "NIMService.expose": "service",
    "NIMService.expose.service": "port type",
    "NIMService.image": "pullPolicy pullSecrets repository! tag!",
    "NIMService.metrics": "enabled serviceMonitor",
    "NIMService.metrics.serviceMonitor": "additionalLabels annotations interval scrapeTimeout",
    "NIMService.multiNode": "backendType computeDomain mpi parallelism! ray",
    "NIMService.multiNode.mpi": "mpiStartTimeout!",
    "NIMService.multiNode.parallelism": "pipeline tensor",
    "NIMService.multiNode.ray": "rayPort!",
    "NIMService.proxy": _PROXY,
    "NIMService.scale": "annotations enabled hpa",
    "NIMService.scale.hpa": "behavior maxReplicas! metrics minReplicas",
    "NIMService.scale.hpa.metrics[]": "pods resource type!",
    "NIMService.startupProbe": "enabled probe",
    "NIMService.storage": "nimCache sharedMemorySizeLimit",
    "NIMService.storage.nimCache": "name profile",
}
_OF_A_CLAIM = ("claimCreationSpec", "resourceClaimName", "resourceClaimTemplateName")


def check_nim(item: dict[str, Any]) -> None:
    """Raises for a field that the operator doesn't know or misses, and for what its own rules refuse."""
    spec = item["spec"]
    check_fields(_TABLE, spec, item["kind"])
    if item["kind"] == "NIMService":
        scaled = spec.get("scale", {}).get("enabled", False)
        assert not (scaled and "replicas" in spec), "replicas beside scale.enabled"
        assert not (scaled and "multiNode" in spec), "multiNode beside scale.enabled"
        assert not {"mpi", "ray"} <= set(spec.get("multiNode", {})), "mpi beside ray"
        assert spec.get("multiNode", {}).get("backendType", "lws") == "lws"
        for claim in spec.get("draResources", []):
            assert sum(name in claim for name in _OF_A_CLAIM) == 1, "a claim of draResources is one of three"


def pod_labels(service: dict[str, Any]) -> dict[str, str]:
    """What the operator labels a NIMService's pods with, leader and workers, too: where it has a label of its own, it wins.

    GetServiceLabels and MergeMaps of its source, in every version.
    """
    name = service["metadata"]["name"]
    own = {
        "app": name,
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/managed-by": "k8s-nim-operator",
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/part-of": "nim-service",
    }
    return {**service["spec"].get("labels", {}), **own}
