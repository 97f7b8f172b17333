"""Every secret that a rendering reads is named by NOTES and by docs/kubernetes.md."""

from __future__ import annotations

import re
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.helm import CHART, EXAMPLES, OPEN, PROJECT, helm, rendered

COMPONENT = "app.kubernetes.io/component"
PAGE = (PROJECT / "docs/kubernetes.md").read_text()


def secrets_of(node: Any) -> set[str]:
    """Names under secretKeyRef, secretRef, imagePullSecrets, and the fields of NVIDIA's operator."""
    found: set[str] = set()
    if isinstance(node, dict):
        for key, value in node.items():
            match key:
                case "secretKeyRef" | "secretRef":
                    found.add(value["name"])
                case "imagePullSecrets":
                    found |= {entry["name"] for entry in value}
                case "authSecret" | "pullSecret":
                    found.add(value)
                case "pullSecrets":
                    found |= set(value)
                case _:
                    found |= secrets_of(value)
    elif isinstance(node, list):
        for value in node:
            found |= secrets_of(value)
    return found


@cache
def notes(values: Path) -> str:
    """NOTES.txt as helm would print it: `helm template` leaves it out, so it is rendered as an object's text."""
    with tempfile.TemporaryDirectory() as folder:
        chart = Path(folder) / "chart"
        shutil.copytree(CHART, chart)
        (chart / "templates/NOTES.txt").rename(chart / "NOTES.txt")
        text = 'kind: Notes\nmetadata: {name: notes}\ntext: {{ tpl (.Files.Get "NOTES.txt") . | toJson }}\n'
        (chart / "templates/notes.yaml").write_text(text)
        files = ["--values", OPEN, "--values", values]
        done = helm("template", "r", chart, "--namespace", "llm", "--show-only", "templates/notes.yaml", *files)
    assert done.returncode == 0, done.stderr
    found: str = yaml.safe_load(done.stdout)["text"]
    return found


@pytest.mark.parametrize("values", EXAMPLES, ids=lambda path: path.stem)
def test_notes_make_every_secret_that_is_read(values: Path) -> None:
    made = set(re.findall(r"create secret (?:generic|docker-registry|tls) (\S+)", notes(values)))
    assert made == secrets_of(rendered(values))


@pytest.mark.parametrize("values", EXAMPLES, ids=lambda path: path.stem)
def test_the_page_names_every_secret_of_an_example(values: Path) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{values.stem}` |"))
    assert set(re.findall(r"`([^`]+)`", row.split("|")[2])) == secrets_of(rendered(values))
    made = set(re.findall(r"create secret (?:generic|docker-registry|tls) (\S+)", PAGE))
    assert secrets_of(rendered(values)) <= made


@pytest.mark.parametrize("values", EXAMPLES, ids=lambda path: path.stem)
def test_notes_wait_for_each_model(values: Path) -> None:
    text = notes(values)
    for item in rendered(values):
        name = item["metadata"]["name"]
        if item["kind"] == "StatefulSet" and "redis" not in name:
            assert f"rollout status statefulset/{name} " in text
        if item["kind"] == "NIMCache":
            assert (
                f"wait nimcache --selector app.kubernetes.io/component={item['metadata']['labels'][COMPONENT]} " in text
            )
        if item["kind"] == "NIMService":
            assert f"wait nimservice/{name} " in text


def test_triton_and_gateways_get_the_same_key_for_records() -> None:
    objects = rendered({"secrets.records": "shared"})
    keys = {
        item["metadata"]["labels"][COMPONENT]: variable["valueFrom"]["secretKeyRef"]
        for item in objects
        if item["kind"] == "Deployment"
        for container in item["spec"]["template"]["spec"]["containers"]
        for variable in container.get("env", [])
        if variable["name"] == "LLM_ROUTER_RECORDS_KEY"
    }
    assert keys == {part: {"name": "shared", "key": "key"} for part in ("gateway", "triton")}
