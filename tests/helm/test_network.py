"""Who reaches whom: callers from outside the cluster, DNS, traces, cloud identities."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.support.helm import CHART, PROJECT, of_kind, rendered
from tests.support.kubernetes import check
from tests.support.nim_operator import pod_labels

EKS = CHART / "examples/eks.yaml"
KEY = [{"name": "app", "sha256": "0" * 64}]


def policy(objects: list[dict[str, Any]], part: str) -> dict[str, Any]:
    spec: dict[str, Any] = of_kind(objects, "NetworkPolicy", f"-{part}")[0]["spec"]
    return spec


def test_a_load_balancer_reaches_the_gateway_by_its_addresses() -> None:
    """An ALB of target type `ip` sends from its own addresses, from no pod of any namespace."""
    peers = policy(rendered(EKS), "gateway")["ingress"][0]["from"]
    assert [peer["ipBlock"]["cidr"] for peer in peers if "ipBlock" in peer] == ["10.0.0.0/20", "10.0.16.0/20"]


def test_callers_are_namespaces_or_peers() -> None:
    peers: list[Any] = [
        "ingress-nginx",
        {"podSelector": {"matchLabels": {"app": "x"}}},
        {"ipBlock": {"cidr": "10.0.0.0/8"}},
    ]
    objects = rendered({f"networkPolicy.{key}": peers for key in ("gatewayFrom", "tritonFrom", "monitoringFrom")})
    check(objects, "1.34")
    for part in ("gateway", "triton"):
        found = [peer for rule in policy(objects, part)["ingress"] for peer in rule["from"]]
        assert {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}} in found
        assert all(peer in found for peer in peers[1:])


def test_an_alb_speaks_tls_and_asks_for_readiness() -> None:
    annotations = of_kind(rendered(EKS), "Ingress")[0]["metadata"]["annotations"]
    assert annotations["alb.ingress.kubernetes.io/healthcheck-path"] == "/health/ready"
    assert annotations["alb.ingress.kubernetes.io/ssl-redirect"] == "443"
    assert annotations["alb.ingress.kubernetes.io/certificate-arn"].startswith("arn:aws:acm:")


def test_dns_where_the_cluster_has_it() -> None:
    objects = rendered(
        {"networkPolicy.dns": {"namespaces": [{"ipBlock": {"cidr": "169.254.20.10/32"}}], "ports": [53]}}
    )
    rule = policy(objects, "deny")["egress"][0]
    assert rule["to"] == [{"ipBlock": {"cidr": "169.254.20.10/32"}}]


@pytest.mark.parametrize(
    ("endpoint", "port"), [("http://collector.obs:4318/v1/traces", 4318), ("http://collector", 4317)]
)
def test_traces_leave(endpoint: str, port: int) -> None:
    objects = rendered({"router.telemetry": {"otlp_endpoint": endpoint}})
    for part in ("gateway", "triton"):
        assert {"ports": [{"port": port}]} in policy(objects, part)["egress"]


@pytest.mark.parametrize(("cloud", "address"), [("eks", "169.254.170.23/32"), ("gke", "169.254.169.254/32")])
def test_cloud_identities_are_asked_for_when_they_are_used(cloud: str, address: str) -> None:
    def addresses(objects: list[dict[str, Any]]) -> set[str]:
        peers = [peer for rule in policy(objects, "triton")["egress"] for peer in rule.get("to", [])]
        return {peer["ipBlock"]["cidr"] for peer in peers if "ipBlock" in peer}

    assert address in addresses(rendered({"networkPolicy.egress.cloudIdentity": cloud}))
    assert addresses(rendered()) == {"0.0.0.0/0"}


def test_a_mesh_reaches_the_models_past_the_router() -> None:
    """Envoy sends to the pods itself, and an endpoint picker asks them for their metrics."""
    objects = rendered(
        {"networkPolicy.modelsFrom": ["envoy-gateway-system", {"podSelector": {"matchLabels": {"a": "b"}}}]}
    )
    check(objects, "1.34")
    for model in of_kind(objects, "StatefulSet"):
        rules = policy(objects, model["metadata"]["name"].removeprefix("r-llm-router-"))["ingress"]
        assert {
            "from": [
                {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "envoy-gateway-system"}}},
                {"podSelector": {"matchLabels": {"a": "b"}}},
            ],
            "ports": [{"port": 8000}, {"port": 8001}],
        } in rules


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    wanted: dict[str, str] = selector["podSelector"].get("matchLabels", {})
    return wanted.items() <= labels.items()


def test_the_operators_pods_are_reached_and_confined() -> None:
    """By the one label that the operator leaves as the chart has it."""
    objects = rendered(CHART / "examples/nim-operator.yaml")
    services = of_kind(objects, "NIMService")
    assert services
    for service in services:
        name, labels = service["metadata"]["name"], pod_labels(service)
        own = policy(objects, name.removeprefix("r-llm-router-"))
        assert selects(own, labels)
        assert {"port": 53, "protocol": "UDP"} in own["egress"][0]["ports"]  # the release's policy of DNS isn't theirs
        for part in ("gateway", "triton"):
            everywhere = [
                peer for rule in policy(objects, part)["egress"] if "ports" not in rule for peer in rule["to"]
            ]
            assert any(selects(peer, labels) for peer in everywhere), (part, name)
        others = {item["metadata"]["name"]: pod_labels(item) for item in services if item is not service}
        assert not any(selects(own, other) for other in others.values())


def test_the_nodes_of_one_model_reach_each_other() -> None:
    served = {"model": "m", "image": {"repository": "r", "tag": "2.0"}, "gpus": 8}
    nodes = {"parallelism": {"pipeline": 2, "tensor": 8}, "mpi": {"mpiStartTimeout": 6000}}
    arm = {"price": {"input": 1, "output": 1}, "context_window": 8192}
    ways = {"one": {"nimOperator": served}, "two": {"nimOperator": {**served, "multiNode": nodes}}}
    objects = rendered({"models": [{"name": name, **arm, "serve": way} for name, way in ways.items()]})
    check(objects, "1.34")
    labels = pod_labels(of_kind(objects, "NIMService", "two")[0])

    def anywhere(name: str, direction: str, side: str) -> list[dict[str, Any]]:
        """Peers to or from which every port is open."""
        rules = policy(objects, name)[direction]
        return [peer for rule in rules if "ports" not in rule for peer in rule[side]]

    for direction, side in (("ingress", "from"), ("egress", "to")):
        assert [selects(peer, labels) for peer in anywhere("two", direction, side)] == [True]
        assert anywhere("one", direction, side) == []


def test_egress_takes_rules_of_ones_own() -> None:
    rule = {"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}], "ports": [{"port": 8443}]}
    objects = rendered({"networkPolicy.egress.extra": [rule]})
    assert rule in policy(objects, "gateway")["egress"]


def test_the_adapter_gives_an_hpa_the_metrics_that_it_asks_for() -> None:
    """Pods metrics of the rendered HPAs are names that deploy/prometheus-adapter.yaml makes of series that exist."""
    rules = yaml.safe_load((PROJECT / "deploy/prometheus-adapter.yaml").read_text())["rules"]["custom"]
    made = {rule["name"]["as"] for rule in rules}
    nim = {
        "nim": {
            "model": "m",
            "image": {"repository": "r", "tag": "2.0"},
            "autoscaling": {"enabled": True, "maxReplicas": 2},
        }
    }
    trt = {"tensorrtllm": {"tokenizer": "/t", "existingClaim": "c", "autoscaling": {"enabled": True, "maxReplicas": 2}}}
    operator = {"nimOperator": nim["nim"]}
    trtllm = {"trtllmServe": {**nim["nim"], "image": {"repository": "r", "tag": "1.3.0"}}}
    arm = {"price": {"input": 1, "output": 1}, "context_window": 8192}
    models = [{"name": f"m{i}", **arm, "serve": way} for i, way in enumerate((nim, trt, operator, trtllm))]
    objects = rendered({"models": models, "gateway.autoscaling": {"enabled": True, "adapter": True}})
    specs = [item["spec"]["metrics"] for item in of_kind(objects, "HorizontalPodAutoscaler")]
    specs += [item["spec"]["scale"]["hpa"]["metrics"] for item in of_kind(objects, "NIMService")]
    asked = {metric["pods"]["metric"]["name"] for metrics in specs for metric in metrics if metric["type"] == "Pods"}
    assert asked == {"llm_router_in_flight_requests", "num_requests_waiting", "nv_inference_pending_request_count"}
    assert asked <= made
    # The adapter keeps one series for each name that it makes: the last one wins, so that one rule has to ask for all.
    assert len(made) == len(rules)
    queue = next(rule for rule in rules if rule["name"]["as"] == "num_requests_waiting")
    for name in ("num_requests_waiting", "vllm:num_requests_waiting", "trtllm_num_requests_waiting"):
        for query in (queue["seriesQuery"], queue["metricsQuery"]):
            pattern = re.search(r'__name__=~"([^"]+)"', query)
            assert pattern, query
            assert re.fullmatch(pattern[1], name), query
