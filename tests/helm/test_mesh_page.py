"""The manifests of docs/mesh.md: fields that their CRDs have, and names that are those of the chart's objects."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from router_backend.config import parse_config
from tests.support.helm import CHART, OPEN, PROJECT, helm, of_kind
from tests.support.mesh_crds import KINDS, check_mesh

BLOCKS = [
    document
    for block in re.findall(r"^```yaml\n(.*?)^```", (PROJECT / "docs/mesh.md").read_text(), re.MULTILINE | re.DOTALL)
    for document in yaml.safe_load_all(block)
]
MANIFESTS = [block for block in BLOCKS if "apiVersion" in block]
VALUES = next(block for block in BLOCKS if "networkPolicy" in block)
ROUTE = "gateway.networking.k8s.io/v1"


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The chart's objects, with the page's release and values."""
    values = tmp_path_factory.mktemp("mesh") / "values.yaml"
    values.write_text(yaml.safe_dump(VALUES))
    done = helm("template", "router", CHART, "--namespace", "llm", "--values", OPEN, "--values", values)
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.load_all(done.stdout, yaml.CSafeLoader) if item]


def test_manifests_are_what_their_crds_take() -> None:
    """Those of HTTPRoute: test_matrix."""
    ours = [item for item in MANIFESTS if item["apiVersion"] != ROUTE]
    assert {f"{item['apiVersion']}/{item['kind']}" for item in ours} == KINDS
    for item in ours:
        check_mesh(item)


def test_a_pool_selects_the_pods_of_one_model(released: list[dict[str, Any]]) -> None:
    """By labels of the pods, at the port where they listen; what the policy lets in goes to that port, too."""
    for pool in (item for item in MANIFESTS if item["kind"] == "InferencePool"):
        wanted = pool["spec"]["selector"]["matchLabels"].items()
        templates = [item["spec"]["template"] for item in released if "template" in item.get("spec", {})]
        found = [template for template in templates if wanted <= template["metadata"]["labels"].items()]
        assert len(found) == 1, pool["metadata"]["name"]
        ports = {port["containerPort"] for port in found[0]["spec"]["containers"][0]["ports"]}
        assert {port["number"] for port in pool["spec"]["targetPorts"]} <= ports
        policies = [
            item["spec"]
            for item in of_kind(released, "NetworkPolicy")
            if item["spec"]["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/component")
            == found[0]["metadata"]["labels"]["app.kubernetes.io/component"]
        ]
        peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "envoy-gateway-system"}}}
        assert any([peer] == rule["from"] and {"port": 8000} in rule["ports"] for rule in policies[0]["ingress"])


def test_routes_match_headers_that_the_router_writes_and_lead_to_pools_of_the_page(
    released: list[dict[str, Any]],
) -> None:
    config = parse_config(of_kind(released, "ConfigMap", "-config")[0]["data"]["router.yaml"])
    written = {
        "x-router-model": {model.name for model in config.models},
        "x-gateway-model-name": {getattr(model.upstream, "model", None) for model in config.models},
    }
    pools = {item["metadata"]["name"] for item in MANIFESTS if item["kind"] == "InferencePool"}
    for route in (item for item in MANIFESTS if item["kind"] == "HTTPRoute"):
        for rule in route["spec"]["rules"]:
            for match in rule.get("matches", []):
                assert all(header["value"] in written[header["name"]] for header in match["headers"])
            for backend in rule["backendRefs"]:
                assert backend.get("kind") != "InferencePool" or backend["name"] in pools


def test_the_processor_of_the_page_is_the_charts_service(released: list[dict[str, Any]]) -> None:
    policy = next(item for item in MANIFESTS if item["kind"] == "EnvoyExtensionPolicy")
    for backend in policy["spec"]["extProc"][0]["backendRefs"]:
        service = next(item for item in of_kind(released, "Service") if item["metadata"]["name"] == backend["name"])
        assert backend["port"] in {port["port"] for port in service["spec"]["ports"]}
