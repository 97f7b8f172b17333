"""An upgrade restarts what changed, and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.helm import CHART, EXAMPLES, OPEN, helm, of_kind, rendered
from tests.support.kube_api import kube_api


def pod_templates(objects: list[dict[str, Any]]) -> dict[str, Any]:
    kinds = ("Deployment", "StatefulSet")
    return {item["metadata"]["name"]: item["spec"]["template"] for item in objects if item["kind"] in kinds}


def rendered_as(version: str, folder: Path, values: Path) -> list[dict[str, Any]]:
    """The chart with another version of its own, the same images."""
    chart = folder / version
    shutil.copytree(CHART, chart)
    text = yaml.safe_load((chart / "Chart.yaml").read_text()) | {"version": version}
    (chart / "Chart.yaml").write_text(yaml.safe_dump(text))
    done = helm("template", "r", chart, "--namespace", "llm", "--values", OPEN, "--values", values)
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]


@pytest.mark.parametrize("values", EXAMPLES, ids=lambda path: path.stem)
def test_a_new_version_of_the_chart_restarts_nothing(values: Path, tmp_path: Path) -> None:
    before, after = (rendered_as(version, tmp_path, values) for version in ("0.1.0", "0.1.1"))
    assert pod_templates(before) == pod_templates(after)
    for kind in ("NIMCache", "NIMService"):
        assert [i["spec"] for i in of_kind(before, kind)] == [i["spec"] for i in of_kind(after, kind)]


def test_a_new_api_key_rolls_the_gateways_alone() -> None:
    def checksums(*names: str) -> dict[str, str]:
        keys = [{"name": name, "sha256": "0" * 64} for name in names]
        templates = pod_templates(rendered({"router.security.api_keys": keys}))
        return {
            name: t["metadata"]["annotations"]["checksum/router.yaml"]
            for name, t in templates.items()
            if "annotations" in t["metadata"]
        }

    before, after = checksums("a"), checksums("a", "b")
    assert before["r-llm-router-triton"] == after["r-llm-router-triton"]
    assert before["r-llm-router-gateway"] != after["r-llm-router-gateway"]


def test_selectors_and_volume_claims_are_those_of_the_first_release() -> None:
    """Kubernetes refuses to change them: a release that did would have to be installed again."""
    for item in rendered(CHART / "examples/eks.yaml"):
        if item["kind"] not in ("Deployment", "StatefulSet"):
            continue
        name, spec = item["metadata"]["name"], item["spec"]
        component = (
            name if item["kind"] == "StatefulSet" and "redis" not in name else name.removeprefix("r-llm-router-")
        )
        assert spec["selector"]["matchLabels"] == {
            "app.kubernetes.io/name": "llm-router",
            "app.kubernetes.io/instance": "r",
            "app.kubernetes.io/component": component,
        }
        if item["kind"] == "StatefulSet":
            assert spec["serviceName"] == name
            claim = spec["volumeClaimTemplates"][0]
            assert claim["metadata"] == {"name": "data" if "redis" in name else "cache"}
            assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "serving.cache.size=300Gi",
            "the cache of model nemotron-49b differs from the StatefulSet r-llm-router-nemotron-49b",
        ),
        ("serving.cache.storageClass=slow", "(200Gi gp3 ReadWriteOnce)"),
        ("serving.cache.existingClaim=filled", "delete statefulset r-llm-router-nemotron-49b --cascade=orphan"),
        ("state.redis.size=40Gi", "state.redis.size or storageClass differs from the StatefulSet r-llm-router-redis"),
    ],
)
def test_what_kubernetes_would_refuse_is_said_before(change: str, said: str) -> None:
    values = CHART / "examples/eks.yaml"
    there = of_kind(rendered(values), "StatefulSet")
    command = ["template", "r", CHART, "--namespace", "llm", "--dry-run=server", "--values", OPEN, "--values", values]
    with kube_api(there) as url:
        unchanged = helm(*command, "--kube-apiserver", url)
        assert unchanged.returncode == 0, unchanged.stderr
        changed = helm(*command, "--kube-apiserver", url, "--set", change)
    assert changed.returncode != 0
    assert said in changed.stderr, changed.stderr


def test_the_operators_immutable_field_is_said_before() -> None:
    served = {"model": "m", "image": {"repository": "nvcr.io/nim/m", "tag": "2.0.12"}}
    model = {"name": "a", "price": {"input": 1, "output": 1}, "context_window": 8192}
    before = [{**model, "serve": {"nimOperator": served}}]
    claims = [{"resourceClaimTemplateName": "one-h100"}]
    after = [{**model, "serve": {"nimOperator": served | {"draResources": claims}}}]
    command = ["template", "r", CHART, "--namespace", "llm", "--dry-run=server", "--values", OPEN]
    with kube_api(of_kind(rendered({"models": before}), "NIMService")) as url:
        done = [
            helm(*command, "--kube-apiserver", url, "--set-json", f"models={json.dumps(models)}")
            for models in (before, after)
        ]
    assert done[0].returncode == 0, done[0].stderr
    assert "delete the NIMService first with `kubectl -n llm delete nimservice r-llm-router-a`" in done[1].stderr


def test_another_model_image_is_another_cache() -> None:
    """The operator refuses to change a NIMCache's image or model."""

    def cache(**settings: Any) -> str:
        served = {"model": "m", "image": {"repository": "nvcr.io/nim/m", "tag": "2.0.12"}} | settings
        model = {
            "name": "a",
            "price": {"input": 1, "output": 1},
            "context_window": 8192,
            "serve": {"nimOperator": served},
        }
        objects = rendered({"models": [model]})
        name: str = of_kind(objects, "NIMCache")[0]["metadata"]["name"]
        assert of_kind(objects, "NIMService")[0]["spec"]["storage"]["nimCache"]["name"] == name
        assert len(f"{name}-job") <= 63
        return name

    names = [
        cache(),
        cache(image={"repository": "nvcr.io/nim/m", "tag": "2.0.13"}),
        cache(profile={"precision": "fp8"}),
    ]
    assert len(set(names)) == 3
    assert cache(replicas=2) == names[0]
