"""Open where platforms differ: every pod takes volumes, environment, placement, users; names, mirrors, CAs, proxies."""

from __future__ import annotations

from typing import Any

import pytest

from router_backend.config import parse_config
from tests.helm.test_chart import JOBS
from tests.support.helm import CHART, of_kind, pod_specs, rendered, template
from tests.support.kubernetes import check

KEY = [{"name": "app", "sha256": "0" * 64}]
NIM = {"nim": {"model": "m", "image": {"repository": "nvcr.io/nim/m", "tag": "1.0"}}}
ALL: dict[str, Any] = {
    **JOBS,
    "state.backend": "redis",
    "models": [{"name": "a", "price": {"input": 1, "output": 1}, "context_window": 8192, "serve": NIM}],
}
"""Every kind of pod that the chart has: gateway, Triton, Valkey, a NIM, three jobs, the test."""
PARTS = {
    "gateway": "Deployment/r-llm-router-gateway",
    "triton": "Deployment/r-llm-router-triton",
    "state.redis": "StatefulSet/r-llm-router-redis",
    "serving": "StatefulSet/r-llm-router-a",
    "cronJobs": "CronJob/r-llm-router-report",
    "tests": "Pod/r-llm-router-test",
}


def pods(*values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    objects = rendered(ALL, *values)
    check(objects, "1.34")
    return dict(pod_specs(objects))


OPEN: dict[str, Any] = {
    "extraVolumes": [{"name": "x", "configMap": {"name": "x"}}],
    "extraVolumeMounts": [{"name": "x", "mountPath": "/x"}],
    "env": [{"name": "X", "value": "y"}],
    "envFrom": [{"secretRef": {"name": "x"}}],
    "initContainers": [{"name": "x", "image": "x:1"}],
    "sidecars": [{"name": "y", "image": "y:1"}],
    "nodeSelector": {"x": "y"},
    "tolerations": [{"key": "x", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "high",
    "schedulerName": "other",
    "runtimeClassName": "nvidia",
    "dnsPolicy": "None",
    "dnsConfig": {"nameservers": ["10.0.0.10"]},
    "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["x"]}],
    "podSecurityContext": {"runAsUser": 5, "supplementalGroups": [7]},
    "securityContext": {"privileged": False},
}


def _assert_open(name: str, spec: dict[str, Any]) -> None:
    main = spec["containers"][0]
    assert OPEN["extraVolumes"][0] in spec["volumes"], name
    assert OPEN["extraVolumeMounts"][0] in main["volumeMounts"], name
    assert OPEN["env"][0] in main["env"], name
    assert OPEN["envFrom"][0] in main["envFrom"], name
    assert OPEN["initContainers"][0] in spec["initContainers"], name
    assert OPEN["sidecars"][0] in spec["containers"], name
    assert spec["nodeSelector"] == {"x": "y"}, name
    assert OPEN["tolerations"][0] in spec["tolerations"], name
    assert "nodeAffinity" in spec["affinity"], name
    for key in ("priorityClassName", "schedulerName", "runtimeClassName", "dnsPolicy", "dnsConfig", "hostAliases"):
        assert spec[key] == OPEN[key], name
    assert spec["securityContext"]["supplementalGroups"] == [7], name
    assert main["securityContext"]["privileged"] is False, name
    assert main["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name


def test_every_pod_takes_what_all_pods_are_given() -> None:
    found = pods({f"pods.{key}": value for key, value in OPEN.items()})
    assert set(PARTS.values()) <= set(found)
    for name, spec in found.items():
        _assert_open(name, spec)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_takes_its_own(part: str) -> None:
    found = pods({f"{part}.{key}": value for key, value in OPEN.items()})
    _assert_open(PARTS[part], found[PARTS[part]])
    others = [
        spec for name, spec in found.items() if name != PARTS[part] and not (part == "cronJobs" and "Cron" in name)
    ]
    assert all("priorityClassName" not in spec for spec in others)


@pytest.mark.parametrize("major", [3, 4])
def test_a_part_may_drop_what_all_pods_have(major: int) -> None:
    values = {
        "serving.runAsUser": None,
        "pods.podSecurityContext": {"runAsUser": None, "fsGroup": None, "runAsGroup": None},
    }
    for name, spec in pod_specs(rendered(ALL, values, major=major)):
        context = spec["securityContext"]
        assert context["runAsNonRoot"] is True, name
        if "redis" not in name:
            assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(context), name


def test_openshift_chooses_users_and_has_its_own_dns() -> None:
    objects = rendered(
        ALL,
        {
            "openshift": True,
            "route": {"enabled": True, "host": "h"},
            "router.security.api_keys": KEY,
            "networkPolicy.gatewayFrom": ["openshift-ingress"],
        },
    )
    for name, spec in pod_specs(objects):
        assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(spec["securityContext"]), name
    rule = of_kind(objects, "NetworkPolicy", "-deny")[0]["spec"]["egress"][0]
    assert rule["to"][0]["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "openshift-dns"}
    assert {port["port"] for port in rule["ports"]} == {5353}
    route = of_kind(objects, "Route")[0]
    assert route["metadata"]["annotations"]["haproxy.router.openshift.io/timeout"] == "610s"
    assert route["spec"]["to"]["name"] in {item["metadata"]["name"] for item in of_kind(objects, "Service")}


def test_a_private_ca_is_trusted_by_every_pod() -> None:
    for name, spec in pods({"caBundle": {"configMap": "roots", "key": "all.pem"}}).items():
        if "redis" in name:  # connects to nothing
            continue
        assert {"name": "ca-bundle", "configMap": {"name": "roots"}} in spec["volumes"], name
        main = spec["containers"][0]
        assert any(mount["name"] == "ca-bundle" for mount in main["volumeMounts"]), name
        env = {entry["name"]: entry.get("value") for entry in main["env"]}
        for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"):
            assert env[variable] == "/etc/llm-router-ca/all.pem", name


def test_a_proxy_is_asked_for_the_outside_alone() -> None:
    objects = rendered(ALL, {"proxy": {"https": "http://proxy.corp:3128", "exclude": [".corp"]}})
    inside = {item["metadata"]["name"] for item in of_kind(objects, "Service")}
    for name, spec in pod_specs(objects):
        if "redis" in name:
            continue
        env = {entry["name"]: entry.get("value") for entry in spec["containers"][0]["env"]}
        assert env["HTTPS_PROXY"] == env["https_proxy"] == "http://proxy.corp:3128", name
        assert inside | {".svc", ".corp"} <= set(env["NO_PROXY"].split(",")), name
    for policy in of_kind(objects, "NetworkPolicy"):
        if policy["metadata"]["name"].endswith(("-gateway", "-triton", "-a")):
            assert [{"port": 3128}] in [rule.get("ports") for rule in policy["spec"]["egress"]], policy["metadata"]


@pytest.mark.parametrize("values", [CHART / "examples/eks.yaml", CHART / "examples/nim-operator.yaml", None], ids=str)
def test_a_mirror_and_its_pull_secret_are_used_everywhere(values: Any) -> None:
    mirror = {
        "global": {"imageRegistry": "mirror.corp:5000/nvidia", "imagePullSecrets": [{"name": "mirror"}, "second"]}
    }
    objects = rendered(*([values] if values else []), JOBS if values is None else {}, mirror)
    for name, spec in pod_specs(objects):
        assert [entry["name"] for entry in spec["imagePullSecrets"]][-2:] == ["mirror", "second"], name
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            image = container["image"].removeprefix("mirror.corp:5000/nvidia/")
            assert image != container["image"], container["image"]
            assert "." not in image.split("/")[0], image
    for item in of_kind(objects, "NIMService"):
        assert item["spec"]["image"]["repository"].startswith("mirror.corp:5000/nvidia/nim/")
    for item in of_kind(objects, "NIMCache"):
        assert item["spec"]["source"]["ngc"]["modelPuller"].startswith("mirror.corp:5000/nvidia/nim/")


def test_an_image_by_its_digest() -> None:
    digest = "sha256:" + "a" * 64
    spec = of_kind(rendered({"gateway.image.digest": digest}), "Deployment", "gateway")[0]["spec"]["template"]["spec"]
    assert spec["containers"][0]["image"] == f"llm-router/gateway:0.1.0@{digest}"


def test_no_name_is_too_long_for_its_kind() -> None:
    """A StatefulSet's pods carry its name and a hash in a label of 63 characters."""
    long = {"fullnameOverride": "my-company-llm-platform-production-eu-10", "models": [
        {"name": "llama-3.1-405b-instruct-fp8", "price": {"input": 1, "output": 1}, "context_window": 8192, "serve": NIM}
    ]}  # fmt: skip
    objects = rendered(JOBS, long, {"state.backend": "redis"})
    check(objects, "1.34")
    for item in objects:
        limit = 52 if item["kind"] in ("StatefulSet", "CronJob") else 63
        assert len(item["metadata"]["name"]) <= limit, item["metadata"]["name"]
        assert all(len(value) <= 63 for value in item["metadata"].get("labels", {}).values())
    host = parse_config(of_kind(objects, "ConfigMap", "-config")[0]["data"]["router.yaml"]).models[0].upstream.base_url  # type: ignore[union-attr]
    assert host.split("/")[2].split(":")[0] in {item["metadata"]["name"] for item in of_kind(objects, "Service")}


def test_names_can_be_chosen() -> None:
    objects = rendered({"nameOverride": "router"})
    assert of_kind(objects, "Deployment", "r-router-gateway")
    assert template({"fullnameOverride": "x" * 41}).returncode != 0


def test_no_replicas_means_none() -> None:
    nim = {"nim": {**NIM["nim"], "replicas": 0}}
    objects = rendered(
        ALL, {"gateway.replicas": 0, "triton.replicas": 0, "models": [{**ALL["models"][0], "serve": nim}]}
    )
    counts = {item["metadata"]["name"]: item["spec"]["replicas"] for item in of_kind(objects, "Deployment")}
    assert set(counts.values()) == {0}
    assert of_kind(objects, "StatefulSet", "-a")[0]["spec"]["replicas"] == 0
    operator = {"nimOperator": {"model": "m", "image": NIM["nim"]["image"], "replicas": 0}}
    service = of_kind(rendered({"models": [{**ALL["models"][0], "serve": operator}]}), "NIMService")[0]
    assert service["spec"]["replicas"] == 0


def test_a_service_for_a_clouds_load_balancer() -> None:
    service = {
        "type": "LoadBalancer",
        "annotations": {"networking.gke.io/load-balancer-type": "Internal"},
        "labels": {"team": "ml"},
        "loadBalancerClass": "service.k8s.aws/nlb",
        "loadBalancerSourceRanges": ["10.0.0.0/8"],
        "externalTrafficPolicy": "Local",
        "sessionAffinity": "ClientIP",
        "nodePort": 30080,
    }
    values = {f"gateway.service.{key}": value for key, value in service.items()}
    values |= {"router.security.api_keys": KEY, "networkPolicy.gatewayFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}
    objects = rendered(values)
    check(objects, "1.34")
    found = of_kind(objects, "Service", "gateway")[0]
    assert found["metadata"]["annotations"] == service["annotations"]
    assert found["metadata"]["labels"]["team"] == "ml"
    for key in ("loadBalancerClass", "loadBalancerSourceRanges", "externalTrafficPolicy", "sessionAffinity"):
        assert found["spec"][key] == service[key]
    assert found["spec"]["ports"][0]["nodePort"] == 30080


def test_several_hosts_and_paths() -> None:
    ingress = {
        "enabled": True,
        "host": "a.example.com",
        "hosts": ["b.example.com"],
        "paths": ["/v1"],
        "tlsSecret": "tls",
    }
    values = {"ingress": ingress, "router.security.api_keys": KEY, "networkPolicy.gatewayFrom": ["ingress-nginx"]}
    spec = of_kind(rendered(values), "Ingress")[0]["spec"]
    assert [rule["host"] for rule in spec["rules"]] == spec["tls"][0]["hosts"] == ["a.example.com", "b.example.com"]
    assert all([path["path"] for path in rule["http"]["paths"]] == ["/v1"] for rule in spec["rules"])


def test_labels_and_annotations_of_every_object_and_objects_of_ones_own() -> None:
    own = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine"}}
    objects = rendered(ALL, {"commonLabels": {"team": "ml"}, "commonAnnotations": {"note": "x"}, "extraObjects": [own]})
    assert own in objects
    for item in objects:
        if item != own:
            assert item["metadata"]["labels"]["team"] == "ml", item["metadata"]["name"]
            assert item["metadata"]["annotations"]["note"] == "x", item["metadata"]["name"]
    templates = [item["spec"]["template"]["metadata"] for item in of_kind(objects, "Deployment")]
    assert all("team" not in meta["labels"] for meta in templates)  # they would restart pods


def test_argo_orders_kinds_of_crds() -> None:
    objects = rendered(CHART / "examples/nim-operator.yaml", {"argocd.enabled": True})
    waves = {
        item["kind"]: item["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-wave") for item in objects
    }
    assert (waves["NIMCache"], waves["NIMService"], waves["Deployment"]) == ("-1", "0", None)
    for kind in ("NIMCache", "NIMService", "ServiceMonitor", "PodMonitor"):
        annotations = of_kind(objects, kind)[0]["metadata"]["annotations"]
        assert annotations["argocd.argoproj.io/sync-options"] == "SkipDryRunOnMissingResource=true"


def test_a_gpu_classifier_tolerates_gpu_nodes() -> None:
    spec = of_kind(rendered({"triton.classifierGpu.enabled": True}), "Deployment", "triton")[0]["spec"]["template"][
        "spec"
    ]
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in spec["tolerations"]


def test_probes_strategy_and_account_can_be_set() -> None:
    values = {
        "gateway.probes": {"liveness": {"timeoutSeconds": 9}},
        "gateway.strategy": {"type": "Recreate"},
        "triton.minReadySeconds": 5,
        "triton.revisionHistoryLimit": 3,
        "triton.extraArgs": ["--cache-bytes=1048576"],
        "serviceAccount": {"create": False, "name": "mine"},
    }
    objects = rendered(values)
    gateway, triton = (of_kind(objects, "Deployment", part)[0]["spec"] for part in ("gateway", "triton"))
    probe = gateway["template"]["spec"]["containers"][0]["livenessProbe"]
    assert (probe["timeoutSeconds"], probe["httpGet"]["path"]) == (9, "/health/live")
    assert gateway["strategy"] == {"type": "Recreate"}
    assert (triton["minReadySeconds"], triton["revisionHistoryLimit"]) == (5, 3)
    assert "--cache-bytes=1048576" in triton["template"]["spec"]["containers"][0]["args"]
    assert not of_kind(objects, "ServiceAccount")
    assert all(spec["serviceAccountName"] == "mine" for _, spec in pod_specs(objects))


def test_both_gateways_avoid_one_node() -> None:
    spec = of_kind(rendered(), "Deployment", "gateway")[0]["spec"]["template"]["spec"]
    keys = [constraint["topologyKey"] for constraint in spec["topologySpreadConstraints"]]
    assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]


def test_a_gateway_with_tls_is_scraped_and_probed_by_tls() -> None:
    values = {"router.security.tls": {"certificate": "/tls/tls.crt", "key": "/tls/tls.key"}}
    objects = rendered(values, {"monitoring.serviceMonitor.enabled": True})
    check(objects, "1.34")
    endpoint = of_kind(objects, "ServiceMonitor", "gateway")[0]["spec"]["endpoints"][0]
    assert endpoint["scheme"] == "https"
    container = of_kind(objects, "Deployment", "gateway")[0]["spec"]["template"]["spec"]["containers"][0]
    assert container["readinessProbe"]["httpGet"]["scheme"] == "HTTPS"
    test = of_kind(objects, "Pod", "-test")[0]["spec"]["containers"][0]
    assert test["env"][0]["value"].startswith("https://")


def test_the_external_processor_has_a_service_of_its_own() -> None:
    values = {
        "router.security.api_keys": KEY,
        "router.gateway.extproc_port": 9002,
        "gateway.service.type": "LoadBalancer",
        "networkPolicy": {"enabled": True, "gatewayFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},
    }
    objects = rendered(values)
    check(objects, "1.34")
    services = {each["metadata"]["name"]: each for each in of_kind(objects, "Service")}
    service = services["r-llm-router-extproc"]["spec"]
    assert service["ports"] == [
        {"name": "grpc", "port": 9002, "targetPort": "extproc", "appProtocol": "kubernetes.io/h2c"}
    ]
    assert service.get("type", "ClusterIP") == "ClusterIP"
    assert service["selector"] == services["r-llm-router-gateway"]["spec"]["selector"]
    gateway = dict(pod_specs(objects))[PARTS["gateway"]]["containers"][0]
    assert {"name": "extproc", "containerPort": 9002} in gateway["ports"]
    policies = {each["metadata"]["name"]: each for each in of_kind(objects, "NetworkPolicy")}
    assert {"port": "extproc"} in policies["r-llm-router-gateway"]["spec"]["ingress"][0]["ports"]
    assert "r-llm-router-extproc" not in {each["metadata"]["name"] for each in of_kind(rendered(), "Service")}
