"""The fields of NVIDIA's NIM Operator 3.1 (api/apps/v1alpha1) that the chart may use: no package holds its schemas."""

from __future__ import annotations

from typing import Any

_PLACE = {"env", "nodeSelector", "proxy", "runtimeClassName", "tolerations"}
_MODEL = {"buildable", "engine", "gpus", "lora", "precision", "profiles", "qosProfile", "tensorParallelism"}
_PVC = {"annotations", "create", "name", "size", "storageClass", "subPath", "volumeAccessMode"}
_FIELDS: dict[str, set[str]] = {
    "NIMCache": {"resources", "source", "storage"} | _PLACE,
    "NIMCache.proxy": {"certConfigMap", "httpProxy", "httpsProxy", "noProxy"},
    "NIMCache.resources": {"cpu", "memory"},
    "NIMCache.source": {"ngc"},
    "NIMCache.source.ngc": {"authSecret", "model", "modelPuller", "pullSecret"},
    "NIMCache.source.ngc.model": _MODEL,
    "NIMCache.storage": {"pvc"},
    "NIMCache.storage.pvc": _PVC,
    "NIMService": _PLACE
    | {"affinity", "annotations", "authSecret", "draResources", "expose", "image", "labels", "metrics", "multiNode"}
    | {"priorityClassName", "replicas", "resources", "scale", "schedulerName", "startupProbe", "storage"},
    "NIMService.expose": {"service"},
    "NIMService.expose.service": {"port", "type"},
    "NIMService.image": {"pullPolicy", "pullSecrets", "repository", "tag"},
    "NIMService.metrics": {"enabled", "serviceMonitor"},
    "NIMService.metrics.serviceMonitor": {"additionalLabels", "annotations", "interval", "scrapeTimeout"},
    "NIMService.multiNode": {"backendType", "computeDomain", "mpi", "parallelism", "ray"},
    "NIMService.proxy": {"certConfigMap", "httpProxy", "httpsProxy", "noProxy"},
    "NIMService.scale": {"annotations", "enabled", "hpa"},
    "NIMService.scale.hpa": {"behavior", "maxReplicas", "metrics", "minReplicas"},
    "NIMService.startupProbe": {"enabled", "probe"},
    "NIMService.storage": {"nimCache", "sharedMemorySizeLimit"},
    "NIMService.storage.nimCache": {"name", "profile"},
}


def check_nim(item: dict[str, Any]) -> None:
    """Raises for a field that the operator doesn't know, and for what its own rules refuse."""
    _check(item["spec"], item["kind"])
    if item["kind"] == "NIMService":
        scaled = item["spec"].get("scale", {}).get("enabled", False)
        assert not (scaled and "replicas" in item["spec"]), "replicas beside scale.enabled"
        assert not (scaled and "multiNode" in item["spec"]), "multiNode beside scale.enabled"


def _check(node: dict[str, Any], path: str) -> None:
    assert set(node) <= _FIELDS[path], f"{path}: {set(node) - _FIELDS[path]}"
    for key, value in node.items():
        if f"{path}.{key}" in _FIELDS:
            _check(value, f"{path}.{key}")
