"""As much of Kubernetes' API as helm asks before it renders: versions, resources, and objects that are there."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_RESOURCES = {
    "v1": {"persistentvolumeclaims": "PersistentVolumeClaim", "secrets": "Secret", "configmaps": "ConfigMap"},
    "apps/v1": {"statefulsets": "StatefulSet", "deployments": "Deployment"},
    "apps.nvidia.com/v1alpha1": {"nimservices": "NIMService", "nimcaches": "NIMCache"},
}


def _path(group: str) -> str:
    return "/api/v1" if group == "v1" else f"/apis/{group}"


def _answers(objects: list[dict[str, Any]], namespace: str) -> dict[str, Any]:
    groups = []
    for resource in _RESOURCES:
        if "/" in resource:
            name, version = resource.split("/")
            served = {"groupVersion": resource, "version": version}
            groups.append({"name": name, "versions": [served], "preferredVersion": served})
    answers: dict[str, Any] = {
        "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": groups,
        },
    }
    for version, kinds in _RESOURCES.items():
        listed = [
            {"name": name, "kind": kind, "namespaced": True, "verbs": ["get", "list"]} for name, kind in kinds.items()
        ]
        answers[_path(version)] = {"kind": "APIResourceList", "groupVersion": version, "resources": listed}
        for name, kind in kinds.items():
            folder = f"{_path(version)}/namespaces/{namespace}/{name}"
            found = [item for item in objects if item["kind"] == kind]
            answers[folder] = {"kind": f"{kind}List", "apiVersion": version, "metadata": {}, "items": found}
            answers |= {f"{folder}/{item['metadata']['name']}": item for item in found}
    return answers


@contextmanager
def kube_api(objects: list[dict[str, Any]] | None = None, namespace: str = "llm") -> Iterator[str]:
    """URL of a server on loopback that knows `objects` of a namespace."""
    answers = _answers(objects or [], namespace)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers.get(self.path.partition("?")[0])
            missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
            body = json.dumps(answer or missing).encode()
            self.send_response(200 if answer else 404)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
