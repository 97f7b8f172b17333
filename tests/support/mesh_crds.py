"""The fields of docs/mesh.md's kinds that its manifests may have: no package index holds these schemas.

Compared (`python -m tests.support.crds`) with these files; the first 16 digits of their SHA-256:

- https://github.com/kubernetes-sigs/gateway-api-inference-extension, config/crd/bases/inference.networking.k8s.io_inferencepools.yaml:
  v1.5.0 0bc3ddd94db6f588, v1.6.0 55e0dbf39c50c4bb
- https://github.com/envoyproxy/gateway, charts/gateway-helm/charts/crds/crds/generated/gateway.envoyproxy.io_envoyextensionpolicies.yaml:
  v1.8.3 8370ddaf25e0cdcf, v1.9.0 92f4dfdd67be4b24
"""

from __future__ import annotations

from typing import Any

from tests.support.crds import Table, check_against

_BODY = "Streamed|Buffered|BufferedPartial|FullDuplexStreamed"
MESH: Table = {
    "InferencePool": "appProtocol:http|kubernetes.io/h2c endpointPickerRef:object selector!:object targetPorts!:[object]",
    "InferencePool.endpointPickerRef": "failureMode:FailOpen|FailClose group:$group kind:$kind name!:$name port:object",
    "InferencePool.endpointPickerRef.port": "number!:int(1..65535)",
    "InferencePool.selector": "matchLabels!:labels",
    "InferencePool.targetPorts[]": "number!:int(1..65535)",
    "EnvoyExtensionPolicy": "extProc:[object] targetRefs:[object]",
    "EnvoyExtensionPolicy.extProc[]": "backendRefs:[object] failOpen:bool messageTimeout:$duration processingMode:object",
    "EnvoyExtensionPolicy.extProc[].backendRefs[]": "group:$group kind:$kind name!:$name namespace:$namespace"
    " port:int(1..65535)",
    "EnvoyExtensionPolicy.extProc[].processingMode": "allowModeOverride:bool request:object response:object",
    "EnvoyExtensionPolicy.extProc[].processingMode.request": f"body:{_BODY}",
    "EnvoyExtensionPolicy.extProc[].processingMode.response": f"body:{_BODY}",
    "EnvoyExtensionPolicy.targetRefs[]": "group!:$group kind!:$kind name!:$name sectionName:$section",
}
KINDS = {"inference.networking.k8s.io/v1/InferencePool", "gateway.envoyproxy.io/v1alpha1/EnvoyExtensionPolicy"}


def check_mesh(item: dict[str, Any]) -> None:
    """Raises for what the CRD of its kind would refuse or drop, by its schema or by its rules."""
    assert f"{item['apiVersion']}/{item['kind']}" in KINDS
    check_against(MESH, item)
    spec = item["spec"]
    if item["kind"] == "InferencePool":
        ports = [port["number"] for port in spec["targetPorts"]]
        assert 1 <= len(set(ports)) == len(ports) <= 8
        picker = spec.get("endpointPickerRef", {"port": None})
        assert "port" in picker or picker.get("kind", "Service") != "Service", "a Service needs its port"
        return
    for target in spec["targetRefs"]:
        assert target["group"] == "gateway.networking.k8s.io"
    for processor in spec["extProc"]:
        modes = [processor["processingMode"][way]["body"] for way in ("request", "response")]  # else no body is sent
        assert not (processor.get("failOpen") and "FullDuplexStreamed" in modes), "failOpen beside FullDuplexStreamed"
        for backend in processor["backendRefs"]:
            assert "port" in backend or backend.get("kind", "Service") != "Service", "a Service needs its port"
