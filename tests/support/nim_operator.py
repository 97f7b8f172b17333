"""The fields of NVIDIA's NIM Operator (api/apps/v1alpha1) that the chart may use: no package index holds its schemas.

Compared (`python -m tests.support.crds`) with config/crd/bases of https://github.com/NVIDIA/k8s-nim-operator, nimcaches and
nimservices; the first 16 digits of their SHA-256: v3.0.2 0fd8fae64f6e4e88 and 03d08cd36ba3ae1e, v3.1.0 3bc4835c57765fea and
9e8ac11128d1eec2, v3.1.1 89eb6a2464810d6e and e55b4c1ec8523c8d, v3.1.2 89eb6a2464810d6e and 00f621d838202c3c.
v3.1.2 has all of it; before it there was no `priorityClassName`, before 3.1.1 no `multiNode.ray`, and 3.0.2 has no
`multiNode.computeDomain` and no `replicas: 0`. LeaderWorkerSets are made by the operator, out of `multiNode`; the chart renders none.
"""

from __future__ import annotations

from typing import Any

from tests.support.crds import Table, check_against

_PLACE = "env:[@EnvVar] nodeSelector:labels proxy:object runtimeClassName tolerations:[@Toleration]"
_PROXY = "certConfigMap httpProxy httpsProxy noProxy"
NIM: Table = {
    "NIMCache": f"resources:object source!:object storage!:object {_PLACE}",
    "NIMCache.proxy": _PROXY,
    "NIMCache.resources": "cpu:$quantity memory:$quantity",
    "NIMCache.source": "ngc!:object",  # or one of dataStore and hf
    "NIMCache.source.ngc": "authSecret! model:object modelPuller! pullSecret",  # modelPuller can't be changed
    "NIMCache.source.ngc.model": "buildable:bool engine gpus:[object] lora:bool precision profiles:[string] qosProfile"
    " tensorParallelism",
    "NIMCache.source.ngc.model.gpus[]": "ids:[string] product",
    "NIMCache.storage": "pvc:object",
    "NIMCache.storage.pvc": "annotations:labels create:bool name size storageClass subPath volumeAccessMode",
    "NIMService": "affinity:@Affinity annotations:labels authSecret! draResources:[object] expose:object image!:object"
    " labels:labels metrics:object multiNode:object priorityClassName replicas:int(0..) resources:@ResourceRequirements"
    f" scale:object schedulerName startupProbe:object storage:object {_PLACE}",
    "NIMService.draResources[]": "claimCreationSpec:object requests:[$nonempty] resourceClaimName:$claim"
    " resourceClaimTemplateName:$claim",
    "NIMService.draResources[].claimCreationSpec": "devices!:[object]",
    "NIMService.draResources[].claimCreationSpec.devices[]": "celExpressions:[string] count!:int deviceClassName!"
    " driverName:$driver name!:$claim",
    "NIMService.expose": "service:object",
    "NIMService.expose.service": "port:int(1..65535) type",
    "NIMService.image": "pullPolicy pullSecrets:[string] repository! tag!",
    "NIMService.metrics": "enabled:bool serviceMonitor:object",
    "NIMService.metrics.serviceMonitor": "additionalLabels:labels annotations:labels interval:$interval scrapeTimeout:$interval",
    "NIMService.multiNode": "backendType:lws| computeDomain:object mpi:object parallelism!:object ray:object",
    "NIMService.multiNode.computeDomain": "create:bool name",
    "NIMService.multiNode.mpi": "mpiStartTimeout!:int",
    "NIMService.multiNode.parallelism": "pipeline:int(1..) tensor:int(1..)",
    "NIMService.multiNode.ray": "rayPort!:int(1..65535)",
    "NIMService.proxy": _PROXY,
    "NIMService.scale": "annotations:labels enabled:bool hpa:object",
    "NIMService.scale.hpa": "behavior:@HorizontalPodAutoscalerBehavior maxReplicas!:int metrics:[@MetricSpec] minReplicas:int(1..)",
    "NIMService.startupProbe": "enabled:bool probe:@Probe",
    "NIMService.storage": "nimCache:object sharedMemorySizeLimit:$quantity",
    "NIMService.storage.nimCache": "name profile",
}
_OF_A_CLAIM = ("claimCreationSpec", "resourceClaimName", "resourceClaimTemplateName")


def check_nim(item: dict[str, Any]) -> None:
    """Raises for a field that the operator doesn't know or misses, and for what its own rules refuse."""
    spec = item["spec"]
    check_against(NIM, item)
    if item["kind"] == "NIMService":
        scaled = spec.get("scale", {}).get("enabled", False)
        assert not (scaled and "replicas" in spec), "replicas beside scale.enabled"
        assert not (scaled and "multiNode" in spec), "multiNode beside scale.enabled"
        assert not {"mpi", "ray"} <= set(spec.get("multiNode", {})), "mpi beside ray"
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
