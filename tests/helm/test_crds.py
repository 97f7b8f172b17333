"""Our tables of custom resources: what they refuse, how they are compared with CRDs, and what the chart renders of them."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import yaml

from tests.helm.test_mesh_page import MANIFESTS
from tests.support.crds import Table, check_against, differences
from tests.support.helm import CHART, PROJECT, helm, of_kind, rendered
from tests.support.karpenter import KARPENTER
from tests.support.kubernetes import check
from tests.support.mesh_crds import check_mesh

TABLE: Table = {"Thing": "a!:int(1..3) b:x|y c:[object] d:labels e:[@Toleration]", "Thing.c[]": "name!:$name"}
GOOD = {"a": 1, "b": "x", "c": [{"name": "n"}], "d": {"k": "v"}, "e": [{"operator": "Exists"}]}


def thing(**fields: Any) -> dict[str, Any]:
    spec = {key: value for key, value in {**GOOD, **fields}.items() if value is not None}
    return {"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": spec}


def test_what_the_crd_takes_passes() -> None:
    check_against(TABLE, thing())
    check_against(TABLE, thing(b=None, c=None, d=None, e=None))


@pytest.mark.parametrize(
    "fields",
    [
        {"a": None},
        {"a": 4},
        {"a": "1"},
        {"b": "z"},
        {"c": [{}]},
        {"c": [{"name": ""}]},
        {"c": {"name": "n"}},
        {"d": {"k": 1}},
        {"e": [{"op": "Exists"}]},
        {"misspelt": "x"},
    ],
    ids=str,
)
def test_what_the_crd_refuses_or_drops_does_not_pass(fields: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match=f"Thing/t.*{next(iter(fields))}"):
        check_against(TABLE, thing(**fields))


def test_a_table_is_compared_with_a_crd() -> None:
    crd: dict[str, Any] = {
        "type": "object",
        "required": ["a"],
        "properties": {
            "a": {"type": "integer", "minimum": 1, "maximum": 3},
            "b": {"type": "string", "enum": ["x", "y"]},
            "c": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": {"type": "string", "minLength": 1, "maxLength": 253}},
                },
            },
            "d": {"type": "object", "additionalProperties": {"type": "string"}},
            "e": {"type": "array", "items": {"type": "object", "properties": {"operator": {"type": "string"}}}},
            "more": {"type": "string"},
        },
    }
    assert differences(TABLE, "Thing", crd) == []
    other = copy.deepcopy(crd)
    other["required"].append("more")
    other["properties"]["a"]["maximum"] = 5
    del other["properties"]["b"]
    found = differences(TABLE, "Thing", other)
    assert [line.partition(":")[0] for line in found] == ["Thing.a", "Thing.b", "Thing"]


def _with(item: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(item)
    *outer, last = path.split(".")
    node: Any = changed
    for key in outer:
        node = node[int(key)] if isinstance(node, list) else node.setdefault(key, {})
    node[last] = value
    return changed


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("NIMCache", "spec.source.ngc.model.tensorParallelism", 2),  # a string there
        ("NIMCache", "spec.source.ngc.modelName", "m"),
        ("NIMService", "spec.replicas", -1),
        ("NIMService", "spec.metrics.serviceMonitor.interval", "often"),
        ("NIMService", "spec.tolerations.0.key", 1),
        ("NIMService", "spec.startupProbe.probe.httpGet.scheme", {}),
        ("NIMService", "spec.multiNode", {"backendType": "mpi", "parallelism": {}}),
    ],
)
def test_the_operators_kinds_are_checked_to_the_last_field(kind: str, path: str, value: Any) -> None:
    objects = rendered(CHART / "examples/nim-operator.yaml")
    check(objects, "1.34")
    item = _with(of_kind(objects, kind)[0], path, value)
    with pytest.raises(AssertionError, match=item["metadata"]["name"]):
        check([item], "1.34")


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("InferencePool", "spec.targetPorts.0.number", 70000),
        ("InferencePool", "spec.targetPorts", []),
        ("InferencePool", "spec.endpointPickerRef.failureMode", "Open"),
        ("InferencePool", "spec.endpointPickerRef", {"name": "x"}),
        ("EnvoyExtensionPolicy", "spec.extProc.0.processingMode.request.body", "BUFFERED"),
        ("EnvoyExtensionPolicy", "spec.extProc.0.processingMode.request.body", "FullDuplexStreamed"),  # beside failOpen
    ],
)
def test_the_meshs_kinds_are_checked_to_the_last_field(kind: str, path: str, value: Any) -> None:
    item = next(item for item in MANIFESTS if item["kind"] == kind)
    with pytest.raises(AssertionError):
        check_mesh(_with(item, path, value))


def _machines(**values: Any) -> dict[str, Any]:
    """The class of machines that module `eks` makes."""
    flags = [f"--set-json={key}={json.dumps(value)}" for key, value in values.items()]
    done = helm("template", "platform", PROJECT / "deploy/terraform/modules/eks/platform", *flags)
    assert done.returncode == 0, done.stderr
    (found,) = of_kind(list(yaml.safe_load_all(done.stdout)), "EC2NodeClass")
    return found


def test_the_class_of_machines_is_what_karpenters_crd_takes() -> None:
    item = _machines(role="router-node", cluster="router", tags={"deployment": "router"})
    check_against(KARPENTER, item)
    assert item["spec"]["tags"] == {"deployment": "router"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.amiSelectorTerms.0.alias", "al2023@" + "2" * 30),
        ("spec.blockDeviceMappings.0.ebs.volumeSize", 300),
        ("spec.blockDeviceMappings.0.ebs.volumeType", "gp4"),
        ("spec.metadataOptions.httpTokens", "never"),
        ("spec.subnetSelectorTerms", None),
        ("spec.publicIP", False),
    ],
)
def test_the_class_of_machines_is_checked_to_the_last_field(path: str, value: Any) -> None:
    item = _machines(role="router-node", cluster="router", tags={"a": "b"})
    with pytest.raises(AssertionError, match="EC2NodeClass/gpu"):
        check_against(KARPENTER, _with(item, path, value))
