"""Schemas of Terraform's providers, read out of the JavaScript that cdktf generates from them (its packages are on PyPI).

A type is `{"attributes": {name: {"type", "required", "optional", "computed"}}, "blocks": {name: {"one", "required", "nesting",
"block"}}}`; `type` is Terraform's own JSON of types. Blocks and attributes of objects look alike there: all are taken for
blocks, as in nearly all of AWS' resources.
"""

from __future__ import annotations

import io
import re
import tarfile
import zipfile
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

Schema = dict[str, Any]

_CLASS = re.compile(r"^class (\w+) extends cdktf\.(\w+) \{\n(.*?)^\}", re.S | re.M)
_GETTER = re.compile(r"^    get (\w+)\(\) \{\n\s+return (?:cdktf\.Fn\.tolist\()?this\.get(\w+)Attribute\('(\w+)'", re.M)
_COMPLEX = re.compile(
    r"// (\w+) - computed: (?:true|false), optional: (?:true|false), required: (true|false)\n"
    r"\s+this\._\w+ = new (cdktf\.)?(\w+)\(this, \"\w+\""
)
_ENTRY = re.compile(
    r"^\s+(\w+): \{\n\s+value: (.*?),\n\s+isBlock: (true|false),\n\s+type: \"(\w+)\",\n\s+storageClassType: \"([^\"]+)\"",
    re.M,
)
_HCL = re.compile(r"^function (\w+)ToHclTerraform\(struct\) \{\n(.*?)^\}", re.S | re.M)
_OWN_TYPE = re.compile(r"terraformResourceType: \"(\w+)\"")
_ASSIGNED = ("arn", "region", "tags_all")
_TYPES: dict[str, Any] = {
    "String": "string",
    "Number": "number",
    "Boolean": "bool",
    "List": ["list", "string"],
    "NumberList": ["list", "number"],
    "StringMap": ["map", "string"],
    "NumberMap": ["map", "number"],
    "BooleanMap": ["map", "bool"],
    "AnyMap": ["map", "string"],
}


def read(archive: Path, kinds: Iterable[str]) -> dict[str, Schema]:
    """Schemas by name of a type: `aws_sns_topic`, or `data.aws_region` for a data source. A name that doesn't exist is left out."""
    wanted = {_folder(kind): kind for kind in kinds}
    found: dict[str, str] = {}
    with zipfile.ZipFile(archive) as wheel:
        inner = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(wheel.read(inner)), mode="r|gz") as package:
            for member in package:
                folder = member.name.removeprefix("package/lib/").rpartition("/")[0]
                if folder in wanted and member.name.endswith(("/index.js", "/index-structs.js", "/structs.js")):
                    content = package.extractfile(member)
                    assert content is not None
                    found[folder] = found.get(folder, "") + content.read().decode()
    return {wanted[folder]: _Source(text).schema() for folder, text in found.items()}


def _folder(kind: str) -> str:
    data, _, name = kind.rpartition(".")
    provider, _, rest = name.partition("_")
    return f"data-{provider}-{rest}".replace("_", "-") if data else rest.replace("_", "-")


class _Source:
    """The JavaScript of one type."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._classes = {name: (base, body) for name, base, body in _CLASS.findall(text)}
        self._entries = {name.lower(): _ENTRY.findall(body) for name, body in _HCL.findall(text)}

    @cached_property
    def _top(self) -> str:
        return next(
            name for name, (base, _) in self._classes.items() if base in ("TerraformResource", "TerraformDataSource")
        )

    def schema(self) -> Schema:
        body = self._classes[self._top][1]
        made = self._block(body, _ENTRY.findall(body[body.index("synthesizeHclAttributes") :]))
        for name in ("id", *_ASSIGNED):
            if name in made["attributes"] or name == "id":
                known = made["attributes"].setdefault(name, _attribute("string"))
                known["computed"] = not known["required"]  # the JavaScript doesn't say so of what may be given, too
        return made

    def _block(self, body: str, entries: list[tuple[str, ...]]) -> Schema:
        kinds = {name: (block == "true", kind) for name, _, block, kind, _ in entries}
        attributes: Schema = {}
        blocks: Schema = {}
        for spelt, getter, name in _GETTER.findall(body):
            kind = _TYPES.get(getter, "dynamic")
            if isinstance(kind, list) and kind[0] == "list" and kinds.get(name, (False, ""))[1] == "set":
                kind = ["set", kind[1]]
            settable, optional = f"    set {spelt}(" in body, f"        this._{spelt} = undefined;" in body
            attributes[name] = _attribute(kind, required=settable and not optional, computed=not settable)
        for name, required, cdktf, kind in _COMPLEX.findall(body):
            if cdktf:
                attributes[name] = _attribute(
                    _TYPES.get(kind, ["map", "string"]), required=required == "true", computed=name not in kinds
                )
            elif name in kinds:
                element, one = self._element(kind)
                blocks[name] = {
                    "one": one,
                    "required": required == "true",
                    "nesting": "single" if name == "timeouts" else "set" if kinds[name][1] == "set" else "list",
                    "block": self._block(*self._inside(element)),
                }
            else:
                attributes[name] = _attribute(["list", self._object(self._element(kind)[0])], computed=True)
        # Some arguments have no getter of their own: those with a type of several shapes.
        for name, _, block, _, _ in entries:
            if block == "false" and name not in attributes and name not in blocks:
                attributes[name] = _attribute("dynamic")
        return {"attributes": attributes, "blocks": blocks}

    def _element(self, name: str) -> tuple[str, bool]:
        """(class of one element, whether there is but one) of a list's or of an element's class."""
        if name.endswith("OutputReference"):
            return name, True
        return name.removesuffix("List") + "OutputReference", False

    def _inside(self, element: str) -> tuple[str, list[tuple[str, ...]]]:
        base = element.removesuffix("OutputReference").lower()
        return self._classes[element][1], self._entries.get(base, [])

    def _object(self, element: str) -> Any:
        block = self._block(*self._inside(element))
        return ["object", {name: attribute["type"] for name, attribute in block["attributes"].items()}]


def _attribute(kind: Any, *, required: bool = False, computed: bool = False) -> Schema:
    return {"type": kind, "computed": computed, "optional": not (required or computed), "required": required}


def used(folder: Path) -> set[str]:
    """The types that a folder of configurations names."""
    found = set()
    for file in folder.rglob("*.tf"):
        text = file.read_text()
        found |= set(re.findall(r'^resource "((?:aws|helm)_\w+)"', text, re.M))
        found |= {f"data.{name}" for name in re.findall(r'^data "((?:aws|helm)_\w+)"', text, re.M)}
    return found
