"""Strict schemas of custom resources that no package index has, from short tables of what their CRDs say.

A table has a line for each object, by its path; `[]` stands for the items of a list. A line names the fields: `name!:type`,
where `!` says that it must be there and a type that is left out is `string`. Types: `bool`, `int`, `int(1..65535)`, `a|b` (one
of these words), `labels` (strings by name), `object` (has a line of its own), `$word` (of `_WORDS`), `@Kind` (Kubernetes' own),
`[type]` (a list). A field that stands in no line is refused: the API server would drop it silently.

`python -m tests.support.crds CRD.yaml …` compares the tables with the CRDs themselves, for whoever has them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate.utils
import yaml
from referencing import Registry, Resource

Table = dict[str, str]
Schema = dict[str, Any]
_KUBERNETES = "kubernetes-json-schema/v1.30.0-local-strict/_definitions.json"
_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_WORDS: dict[str, Schema] = {
    "nonempty": {"type": "string", "minLength": 1},
    "name": {"type": "string", "minLength": 1, "maxLength": 253},
    "kind": {"type": "string", "minLength": 1, "maxLength": 63, "pattern": "^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"},
    "group": {"type": "string", "maxLength": 253, "pattern": rf"^$|{_SUBDOMAIN}$"},
    "namespace": {"type": "string", "minLength": 1, "maxLength": 63, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"},
    "section": {"type": "string", "minLength": 1, "maxLength": 253, "pattern": f"{_SUBDOMAIN}$"},
    "driver": {"type": "string", "maxLength": 253, "pattern": _SUBDOMAIN},
    "claim": {"type": "string", "minLength": 1, "maxLength": 253, "pattern": _SUBDOMAIN},
    "alias": {"type": "string", "maxLength": 30},
    "volume": {
        "type": "string",
        "pattern": "^((?:[1-9][0-9]{0,3}|[1-4][0-9]{4}|[5][0-8][0-9]{3}|59000)Gi|(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|[6][0-3][0-9]{3}|64000)G"
        "|([1-9]||[1-5][0-7]|58)Ti|([1-9]||[1-5][0-9]|6[0-3]|64)T)$",
    },
    "duration": {"type": "string", "pattern": "^([0-9]{1,5}(h|m|s|ms)){1,4}$"},
    "interval": {
        "type": "string",
        "pattern": "^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$",
    },
    "quantity": {
        "type": ["integer", "string"],
        "pattern": r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$",
    },
}
_CORE = {
    "Affinity": "api.core.v1.Affinity",
    "EnvVar": "api.core.v1.EnvVar",
    "Probe": "api.core.v1.Probe",
    "ResourceRequirements": "api.core.v1.ResourceRequirements",
    "Toleration": "api.core.v1.Toleration",
    "HorizontalPodAutoscalerBehavior": "api.autoscaling.v2.HorizontalPodAutoscalerBehavior",
    "MetricSpec": "api.autoscaling.v2.MetricSpec",
    "ObjectMeta": "apimachinery.pkg.apis.meta.v1.ObjectMeta",
}


def check_against(table: Table, item: dict[str, Any]) -> None:
    """Raises AssertionError with the place of what the CRD would refuse or drop. `table` has the fields of `spec`."""
    schema = {
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": _schema(table, "", "@ObjectMeta"),
            "spec": _schema(table, item["kind"], "object"),
        },
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": False,
    }
    found = jsonschema.Draft202012Validator(schema, registry=_kubernetes()).iter_errors(item)
    errors = [f"{error.json_path}: {error.message}" for error in found]
    assert not errors, f"{item['kind']}/{item['metadata']['name']}: {errors}"


@cache
def _kubernetes() -> Registry[Any]:
    text = kubernetes_validate.utils.schema_contents(_KUBERNETES, "1.30")
    return Resource.from_contents(text) @ Registry()


def _schema(table: Table, path: str, kind: str) -> Schema:
    if kind.startswith("["):
        return {"type": "array", "items": _schema(table, f"{path}[]", kind[1:-1])}
    if kind.startswith("@"):
        return {"$ref": f"https://kubernetes.io/api/_definitions.json#/$defs/io.k8s.{_CORE[kind[1:]]}"}
    if kind.startswith("$"):
        return _WORDS[kind[1:]]
    if kind == "object":
        entries = list(_fields(table[path]))
        return {
            "type": "object",
            "properties": {name: _schema(table, f"{path}.{name}", inner) for name, _, inner in entries},
            "required": [name for name, needed, _ in entries if needed],
            "additionalProperties": False,
        }
    if kind == "labels":
        return {"type": "object", "additionalProperties": {"type": "string"}}
    if limits := re.fullmatch(r"int(?:\((\d*)\.\.(\d*)\))?", kind):
        ends = zip(("minimum", "maximum"), limits.groups(), strict=True)
        return {"type": "integer", **{name: int(end) for name, end in ends if end}}
    if "|" in kind:  # of one word: `lws|`
        return {"type": "string", "enum": kind.rstrip("|").split("|")}
    return {"type": {"string": "string", "bool": "boolean"}[kind]}


def _fields(line: str) -> Iterator[tuple[str, bool, str]]:
    """Name, whether it must be there, type."""
    for entry in line.split():
        name, _, kind = entry.partition(":")
        yield name.rstrip("!"), name.endswith("!"), kind or "string"


def differences(table: Table, kind: str, spec: Schema) -> list[str]:
    """Where the lines of a table say something else than a CRD's schema of `spec`, which may have more fields."""
    return list(_compared(_schema(table, kind, "object"), spec, kind))


def _compared(ours: Schema, theirs: Schema, path: str) -> Iterator[str]:
    if "$ref" in ours:
        core = kubernetes_validate.utils.schema_contents(_KUBERNETES, "1.30")["$defs"][ours["$ref"].rpartition("/")[2]]
        if missing := set(theirs.get("properties", core["properties"])) - set(core["properties"]):
            yield f"{path}: Kubernetes has no {missing}"
        return
    if theirs.get("x-kubernetes-int-or-string"):
        theirs = {**theirs, "type": ["integer", "string"]}
    if theirs.get("minLength") == 0:
        theirs = {key: value for key, value in theirs.items() if key != "minLength"}
    for word in ("type", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength"):
        if ours.get(word) != theirs.get(word):
            yield f"{path}: {word} is {theirs.get(word)}, the table has {ours.get(word)}"
    for name, inner in ours.get("properties", {}).items():
        if name not in theirs.get("properties", {}):
            yield f"{path}.{name}: there is no such field"
        else:
            yield from _compared(inner, theirs["properties"][name], f"{path}.{name}")
    if needed := set(theirs.get("required", ())) - set(ours.get("required", ())):
        yield f"{path}: {needed} must be there"
    if "items" in ours:
        yield from _compared(ours["items"], theirs["items"], f"{path}[]")


def main(files: list[str]) -> int:
    from tests.support.karpenter import KARPENTER
    from tests.support.mesh_crds import MESH
    from tests.support.nim_operator import NIM

    count, tables = 0, NIM | MESH | KARPENTER
    for crd in (yaml.safe_load(Path(file).read_text()) for file in files):
        kind = crd["spec"]["names"]["kind"]
        for version in crd["spec"]["versions"]:
            spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
            found = differences(tables, kind, spec)
            sys.stdout.write("\n  ".join([f"{kind} {version['name']}: {len(found)} differences", *found]) + "\n")
            count += len(found)
    return min(count, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
