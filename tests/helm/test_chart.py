"""The chart, rendered by real helm 3 and 4: valid objects, hardened pods, a router.yaml that our validator takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from router_backend.config import parse_config
from tests.support.helm import CHART, EXAMPLES, helm, of_kind, pod_specs, rendered, template
from tests.support.kubernetes import check

VALUES: list[Path | None] = [None, *EXAMPLES]
# Everything that can be switched on at once, beside eks.yaml.
JOBS = {
    "cronJobs.report.enabled": True,
    "cronJobs.backup": {"enabled": True, "schedule": "0 2 * * *", "existingClaim": "backups"},
    "cronJobs.retrain": {
        "enabled": True,
        "schedule": "0 3 * * 0",
        "existingClaim": "training-data",
        "image": {"repository": "llm-router/train", "tag": "0.1.0"},
    },
    "triton.modelRepository": {"source": "pvc", "existingClaim": "models"},
    "secrets.tritonAdmin": "llm-router-triton",
}


def name_of(values: Path | None) -> str:
    return values.stem if values else "defaults"


def objects_of(values: Path | None) -> list[dict[str, Any]]:
    return rendered(*([values] if values else []))


def router_yaml(objects: list[dict[str, Any]]) -> str:
    text: str = of_kind(objects, "ConfigMap", "-config")[0]["data"]["router.yaml"]
    return text


@pytest.mark.parametrize("major", [3, 4])
@pytest.mark.parametrize("values", VALUES, ids=name_of)
def test_lint_finds_nothing(values: Path | None, major: int) -> None:
    flags: list[str | Path] = ["--values", values] if values else []
    done = helm("lint", "--strict", CHART, *flags, major=major)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("values", VALUES, ids=name_of)
def test_both_helms_render_the_same(values: Path | None) -> None:
    def by_name(objects: list[dict[str, Any]]) -> dict[tuple[str, str], Any]:
        return {(item["kind"], item["metadata"]["name"]): item for item in objects}

    arguments = [values] if values else []
    assert by_name(rendered(*arguments)) == by_name(rendered(*arguments, major=4))


@pytest.mark.parametrize("version", ["1.27", "1.34"])
@pytest.mark.parametrize("values", VALUES, ids=name_of)
def test_objects_fit_the_schemas_of_kubernetes(values: Path | None, version: str) -> None:
    check(objects_of(values), version)


def test_jobs_fit_the_schemas_of_kubernetes() -> None:
    objects = rendered(CHART / "examples/cpu-only.yaml", JOBS)
    assert {item["metadata"]["name"] for item in of_kind(objects, "CronJob")} == {
        "r-llm-router-report",
        "r-llm-router-backup",
        "r-llm-router-retrain",
    }
    check(objects, "1.34")


@pytest.mark.parametrize("values", VALUES, ids=name_of)
def test_our_validator_takes_the_rendered_router_yaml(values: Path | None) -> None:
    objects = objects_of(values)
    config = parse_config(router_yaml(objects), "rendered router.yaml")
    assert config.gateway.drain_seconds >= config.timeouts.total
    services = {item["metadata"]["name"] for item in of_kind(objects, "Service") + of_kind(objects, "NIMService")}
    for model in config.models:
        address = getattr(model.upstream, "base_url", None) or f"grpc://{model.upstream.url}"  # type: ignore[union-attr]
        host = address.split("/")[2].partition(":")[0]
        assert "." in host or host in services, f"{model.name} points at {host}, which nothing serves"


@pytest.mark.parametrize("values", VALUES, ids=name_of)
def test_policies(values: Path | None) -> None:
    """Non-root, no privileges, read-only root but for NVIDIA's model servers, limits, probes, versions, drains."""
    objects = rendered(*([values] if values else []))
    longest = parse_config(router_yaml(objects)).timeouts.total
    for name, spec in pod_specs(objects):
        pod = spec["securityContext"]
        assert pod["runAsNonRoot"] is True, name
        assert pod["runAsUser"] > 0, name
        assert pod["seccompProfile"]["type"] == "RuntimeDefault", name
        assert spec["automountServiceAccountToken"] is False, name
        # A release named llm-router would give LLM_ROUTER_GATEWAY_PORT=tcp://…, which the command line takes for its own.
        assert spec["enableServiceLinks"] is False, name
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            where = f"{name}/{container['name']}"
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, where
            assert security["capabilities"]["drop"] == ["ALL"], where
            assert security["readOnlyRootFilesystem"] is (container["name"] not in ("nim", "tensorrtllm")), where
            assert {"cpu", "memory"} <= set(container["resources"]["limits"]), where
            assert {"cpu", "memory"} <= set(container["resources"]["requests"]), where
            assert re.fullmatch(r"[^:]+:(?!latest)[\w.-]+", container["image"]), where
        if name.split("/")[0] in ("Deployment", "StatefulSet"):
            container = spec["containers"][0]
            assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container), name
            if "redis" not in name:
                assert "preStop" in container["lifecycle"], name
                assert spec["terminationGracePeriodSeconds"] > longest + 10, name


@pytest.mark.parametrize("values", VALUES, ids=name_of)
def test_no_secret_is_made_or_stands_in_a_config_map(values: Path | None) -> None:
    objects = objects_of(values)
    assert not of_kind(objects, "Secret")
    for item in of_kind(objects, "ConfigMap"):
        for key, text in item["data"].items():
            assert not re.search(r"(?i)(password|api_key|token|secret)\s*[:=]\s*\S{8,}", text), key
            assert not re.search(r"://[^/\s]*:[^/@\s]+@", text), key


@pytest.mark.parametrize("values", VALUES, ids=name_of)
def test_every_pod_is_under_default_deny_and_lets_in_only_what_it_must(values: Path | None) -> None:
    objects = objects_of(values)
    policies = of_kind(objects, "NetworkPolicy")
    deny = of_kind(objects, "NetworkPolicy", "-deny")[0]["spec"]
    assert deny["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in deny
    pods = [item for item in objects if item["kind"] in ("Deployment", "StatefulSet")]
    for item in pods:
        labels = item["spec"]["template"]["metadata"]["labels"]
        assert _selects(deny, labels), item["metadata"]["name"]
        own = [p for p in policies if p["spec"] is not deny and _selects(p["spec"], labels)]
        assert own, f"{item['metadata']['name']} could be reached by nobody"
        assert all(rule.get("from") for policy in own for rule in policy["spec"].get("ingress", [])), item["metadata"]


def _selects(policy: dict[str, Any], labels: dict[str, str]) -> bool:
    selected: dict[str, str] = policy["podSelector"]["matchLabels"]
    return selected.items() <= labels.items()


@pytest.mark.parametrize("values", VALUES, ids=name_of)
def test_selectors_find_their_pods(values: Path | None) -> None:
    objects = objects_of(values)
    pods = [i["spec"]["template"]["metadata"]["labels"] for i in objects if i["kind"] in ("Deployment", "StatefulSet")]
    for item in of_kind(objects, "Service"):
        found = [labels for labels in pods if item["spec"]["selector"].items() <= labels.items()]
        assert len(found) == 1, item["metadata"]["name"]


def test_one_replica_with_sqlite_is_recreated_and_its_volume_kept() -> None:
    objects = rendered()
    assert of_kind(objects, "Deployment", "triton")[0]["spec"]["strategy"] == {"type": "Recreate"}
    claim = of_kind(objects, "PersistentVolumeClaim", "-state")[0]
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_an_archiver_runs_beside_triton_where_there_is_an_archive() -> None:
    def containers(**values: Any) -> dict[str, Any]:
        (triton,) = of_kind(rendered(values), "Deployment", "triton")
        return {item["name"]: item for item in triton["spec"]["template"]["spec"]["containers"]}

    assert set(containers()) == {"triton"}
    found = containers(**{"router.archive": "s3://bucket/router"})
    assert found["archive"]["command"] == ["python3", "-m", "router_backend.archive"]
    assert found["archive"]["image"] == found["triton"]["image"]
    shared = {"config", "state", "tmp"}
    assert shared <= {mount["name"] for mount in found["archive"]["volumeMounts"]}
    table = {"state.backend": "dynamodb", "state.dynamodb.url": "dynamodb://t?region=eu-central-1"}
    assert "archive" in containers(**table, **{"router.archive": "s3://bucket/router"})


def test_a_change_of_the_configuration_rolls_the_pods() -> None:
    def checksums(**values: Any) -> list[str]:
        deployments = of_kind(rendered(values), "Deployment")
        return [i["spec"]["template"]["metadata"]["annotations"]["checksum/router.yaml"] for i in deployments]

    before, after = checksums(), checksums(**{"router.policy.alpha": 0.5})
    assert len(before) == 2
    assert not set(before) & set(after)


def test_autoscaled_parts_name_no_replicas() -> None:
    objects = rendered(CHART / "examples/eks.yaml")
    scaled = {item["spec"]["scaleTargetRef"]["name"] for item in of_kind(objects, "ScaledObject")}
    assert scaled == {"r-llm-router-gateway", "r-llm-router-triton", "r-llm-router-llama3-8b"}
    for item in objects:
        if item["kind"] in ("Deployment", "StatefulSet"):
            assert ("replicas" in item["spec"]) is (item["metadata"]["name"] not in scaled)
    night = of_kind(objects, "ScaledObject", "llama3-8b")[0]["spec"]
    assert (night["minReplicaCount"], night["triggers"][1]["metadata"]["desiredReplicas"]) == (1, "2")


def test_an_hpa_of_the_current_api() -> None:
    objects = rendered({"gateway.autoscaling": {"enabled": True, "adapter": True}})
    hpa = of_kind(objects, "HorizontalPodAutoscaler")[0]
    assert hpa["apiVersion"] == "autoscaling/v2"
    assert [metric["type"] for metric in hpa["spec"]["metrics"]] == ["Resource", "Pods"]
    check(objects, "1.27")


def test_a_gpu_classifier_gets_its_gpu_and_says_so_to_triton() -> None:
    objects = rendered({"triton.classifierGpu": {"enabled": True, "instances": 2, "gpus": 1}})
    container = of_kind(objects, "Deployment", "triton")[0]["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert "--classifier-gpu-instances=2" in container["args"]


def test_gpus_are_asked_for_where_models_run() -> None:
    objects = rendered(CHART / "examples/eks.yaml")
    models = [item for item in of_kind(objects, "StatefulSet") if "redis" not in item["metadata"]["name"]]
    gpus = {
        item["metadata"]["name"].removeprefix("r-llm-router-"): int(
            item["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]
        )
        for item in models
    }
    assert gpus == {"nemotron-49b": 2, "llama3-70b": 4, "llama3-8b": 1}


def test_startup_probes_wait_for_a_large_model() -> None:
    for item in of_kind(rendered(), "StatefulSet"):
        probe = item["spec"]["template"]["spec"]["containers"][0]["startupProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] >= 30 * 60


def test_the_schema_names_an_unknown_value() -> None:
    done = template({"triton.replica": 2})
    assert done.returncode != 0
    assert "replica" in done.stderr


def test_the_token_budget_of_the_alert_is_a_value() -> None:
    objects = rendered({"monitoring.prometheusRule": {"enabled": True, "tokensPerDay": 1234567}})
    rule = of_kind(objects, "PrometheusRule")[0]
    expressions = [entry["expr"] for group in rule["spec"]["groups"] for entry in group["rules"]]
    assert any(expression.endswith("> 1234567") for expression in expressions)
