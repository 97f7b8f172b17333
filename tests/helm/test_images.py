"""What can be checked of images and compose file without a container engine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from router_backend.config import load_config
from tests.support.helm import CHART, PROJECT
from tests.support.programs import system_program

COMPOSE = PROJECT / "docker-compose.yml"
DOCKERFILE = (PROJECT / "Dockerfile").read_text()
PROFILES = ["local", "nim"]


def composed(profile: str) -> dict[str, dict[str, object]]:
    """The compose file as docker-compose understands it, with the profile's services."""
    environment = {**os.environ, "COMPOSE_PROFILES": profile, "NGC_API_KEY": "test"}
    command = [system_program("docker-compose"), "--file", str(COMPOSE), "config"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    services: dict[str, dict[str, object]] = yaml.safe_load(done.stdout)["services"]
    return {name: service for name, service in services.items() if profile in service["profiles"]}  # type: ignore[operator]


def test_hadolint_finds_nothing() -> None:
    program = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([program, PROJECT / "Dockerfile"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


def test_every_image_is_pinned_and_runs_as_nobody() -> None:
    assert re.search(r"ARG TRITON_IMAGE=nvcr\.io/nvidia/tritonserver:2[4-9]\.\d\d-py3", DOCKERFILE)
    for stage in re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]:
        name = stage.split("\n")[0].split(" AS ")[1]
        installs = [line for line in stage.splitlines() if "pip install" in line]
        pinned = ("--constraint requirements.lock", "==", "--no-deps /wheels/")
        assert all(any(word in line for word in pinned) for line in installs)
        if name not in ("python", "wheels", "dependencies"):
            assert re.findall(r"^USER (.*)$", stage, re.MULTILINE)[-1] == "10001:10001", name
            assert "HEALTHCHECK" in stage, name


def test_images_that_serve_hold_neither_laboratory_nor_training() -> None:
    stages = {re.findall(r" AS (\w+)", stage)[0]: stage for stage in DOCKERFILE.split("\nFROM ")[1:]}
    wheels = {name: re.findall(r"source=/wheels/(\w+)", stage) for name, stage in stages.items()}
    assert wheels == {
        "wheels": [],
        "dependencies": [],
        "python": [],
        "triton": ["serving"],
        "gateway": ["serving"],
        "train": ["whole"],
        "local": ["whole"],
        "lambda": [],  # the gateway's
    }
    copied = [line for name in ("triton", "python", "gateway") for line in stages[name].splitlines() if "COPY" in line]
    assert set(copied) == {"COPY requirements.lock ./"}


def test_a_change_of_code_installs_no_dependencies_again() -> None:
    """They are a layer before the wheel's, made of pyproject.toml and the lock alone."""
    stages = {re.findall(r" AS (\w+)", stage)[0]: stage for stage in DOCKERFILE.split("\nFROM ")[1:]}
    assert re.findall(r"^COPY (.*)$", stages["dependencies"], re.MULTILINE) == [
        "pyproject.toml deploy/dependencies.py ./"
    ]
    written = dict(re.findall(r"dependencies.py ([\w ]+) > /requirements/(\w+)\.txt", stages["dependencies"]))
    assert {name: extras.split() for extras, name in written.items()} == {
        "triton": ["otel", "archive", "aws"],
        "gateway": ["otel", "aws", "batches"],
        "train": ["train"],
        "local": ["local", "archive"],
    }
    for name in ("triton", "gateway", "train", "local"):
        own, wheel = (
            stages[name].index(f"--requirement /requirements/{name}.txt"),
            stages[name].index("--no-deps /wheels/"),
        )
        assert own < wheel


def test_the_list_of_dependencies_is_what_pip_would_install() -> None:
    command = [sys.executable, "deploy/dependencies.py", "otel", "aws"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=True)
    lines = done.stdout.splitlines()
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert set(lines) >= set(project["dependencies"]) | {"botocore>=1.36"}
    assert all(not Requirement(line).url for line in lines)


@pytest.mark.system
def test_a_profile_that_is_named_by_a_flag_is_refused() -> None:
    """--profile would start the services of one profile with the router's configuration of another."""
    environment = {name: value for name, value in os.environ.items() if name != "COMPOSE_PROFILES"}
    command = [system_program("docker-compose"), "--file", str(COMPOSE), "--profile", "nim", "config"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "local or nim" in done.stderr


@pytest.mark.system
@pytest.mark.parametrize("profile", PROFILES)
def test_the_compose_file_holds_what_a_profile_needs(profile: str) -> None:
    services = composed(profile)
    shared = {"gateway", "triton", "archive", "redis", "prometheus", "grafana"}
    nims = {"nim-nemotron-49b", "nim-llama3-70b", "nim-llama3-8b"}
    assert set(services) == shared | ({"local-model"} if profile == "local" else nims)
    for name, service in services.items():
        assert not str(service["image"]).endswith(":latest"), name
        for volume in service.get("volumes", []):  # type: ignore[attr-defined]
            source = str(volume).split(":")[0]
            assert not source.startswith("/") or Path(source).exists(), f"{name} mounts {source}, which is not there"


@pytest.mark.parametrize("profile", PROFILES)
def test_our_validator_takes_the_profiles_router_yaml(profile: str) -> None:
    config = load_config(PROJECT / f"deploy/compose/router.{profile}.yaml")
    services = composed(profile)
    for model in config.models:
        assert model.upstream.kind == "openai"
        assert model.upstream.base_url.split("/")[2].partition(":")[0] in services
    assert "redis" in config.state


def test_grafana_finds_dashboards_and_data_source() -> None:
    provisioning = PROJECT / "deploy/compose/grafana/provisioning"
    source = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text())["datasources"][0]
    assert source["url"] == "http://prometheus:9090"
    folder = yaml.safe_load((provisioning / "dashboards/llm-router.yaml").read_text())["providers"][0]["options"][
        "path"
    ]
    mounts = composed("local")["grafana"]["volumes"]
    assert any(f":{folder}:ro" in str(mount) for mount in mounts)  # type: ignore[attr-defined]
    assert len(list((CHART / "dashboards").glob("*.json"))) == 4


def test_no_two_models_share_a_gpu() -> None:
    given: list[str] = []
    for service in composed("nim").values():
        devices = service.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", [])  # type: ignore[attr-defined]
        for device in devices:
            assert "count" not in device  # Docker counts from the first GPU, for each container
            given += device["device_ids"]
    assert sorted(given) == list("0123456")


def test_a_release_publishes_signed_images_with_a_bill_of_materials_and_the_chart() -> None:
    workflow = yaml.safe_load((PROJECT / ".github/workflows/release.yml").read_text())
    images, chart = workflow["jobs"]["images"], workflow["jobs"]["chart"]
    build = next(
        step["with"] for step in images["steps"] if step.get("uses", "").startswith("docker/build-push-action")
    )
    assert build["push"]
    assert build["sbom"]
    assert any("cosign sign" in step.get("run", "") for step in images["steps"])
    stages = re.findall(r"^FROM .* AS (\S+)$", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
    assert set(images["strategy"]["matrix"]["target"]) <= set(stages)
    assert any(step.get("run", "").startswith("helm push") and "oci://" in step["run"] for step in chart["steps"])
