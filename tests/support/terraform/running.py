"""Terraform for tests: an example is planned, applied to stub providers, and looked at."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.helm import PROJECT
from tests.support.terraform import schema

SIZES = ("small", "medium", "large")
TERRAFORM = Path("deploy/terraform")
_TOOLS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llm-router/terraform"
_CERTIFICATE = "arn:aws:acm:eu-central-1:111122223333:certificate/00000000-0000-0000-0000-000000000000"
VARIABLES: dict[str, dict[str, Any]] = {
    "small": {},
    "medium": {"certificate_arn": _CERTIFICATE},
    "large": {"certificate_arn": _CERTIFICATE, "host": "llm.example.com"},
}
KEYS = {"api_keys": {"my-app": "0" * 64}, "mail": ["ops@example.com"]}


@dataclass(frozen=True)
class Done:
    """One command's end."""

    code: int
    output: str
    error: str


@cache
def schemas(project: Path = PROJECT) -> dict[str, Any]:
    """Of all types that the modules name."""
    assert (_TOOLS / "bin/python").is_file(), "Terraform is not installed: run tests/tools/install-terraform"
    kinds, found = schema.used(project / TERRAFORM), {}
    for provider in ("aws", "helm"):
        archive = next((_TOOLS / "schemas").glob(f"cdktf_cdktf_provider_{provider}-*"))
        found |= schema.read(archive, {kind for kind in kinds if kind.removeprefix("data.").startswith(provider)})
    return found


def run(folder: Path, *commands: str) -> list[Done]:
    """Terraform's commands in a folder, as far as the first that failed."""
    place = folder / ".schemas.json"
    place.write_text(json.dumps(schemas()))
    words = json.dumps([command.split() for command in commands])
    script = PROJECT / "tests/support/terraform/offline.py"
    done = subprocess.run(
        [_TOOLS / "bin/python", script, folder, place, words], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [Done(code, output or "", error or "") for code, output, error in json.loads(done.stdout.splitlines()[-1])]


def copied(target: Path, size: str, **variables: Any) -> Path:
    """An example in a copy of what it reads, with variables; its folder."""
    for part in (TERRAFORM, Path("helm/llm-router")):
        if not (target / part).is_dir():
            shutil.copytree(PROJECT / part, target / part)
    folder = target / TERRAFORM / "examples" / size
    (folder / "given.auto.tfvars.json").write_text(json.dumps({**KEYS, **VARIABLES[size], **variables}))
    return folder


@dataclass
class Applied:
    """An example after its first apply, to providers that make nothing."""

    folder: Path
    plan: dict[str, Any]
    state: dict[str, Any]
    summary: str
    again: Done
    resources: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.resources = list(_resources(self.state["values"]["root_module"]))

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Values of all resources of a type."""
        return [resource["values"] for resource in self.resources if resource["type"] == kind]


def applied(folder: Path) -> Applied:
    """Init, validate, plan, apply, plan again.

    Raises:
        AssertionError: one of them failed; Terraform's words.
    """
    flags = "-no-color -input=false"
    commands = (
        "init -no-color",
        "validate -no-color",
        f"plan {flags} -out=first",
        "show -json first",
        f"apply {flags} first",
    )
    done = run(folder, *commands, f"plan {flags} -detailed-exitcode", "show -json")
    assert len(done) == 7, done[-1].output[-2000:] + done[-1].error[-4000:]
    assert not done[1].error.strip(), done[1].error  # a warning
    summary = next(line for line in done[2].output.splitlines() if line.startswith("Plan: "))
    return Applied(folder, json.loads(done[3].output), json.loads(done[6].output), summary, done[5])


def _resources(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from _resources(child)
