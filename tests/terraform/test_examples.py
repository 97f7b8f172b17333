"""Slow: the three sizes are planned and applied by Terraform itself, to providers that have AWS' schemas and make nothing."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from router_backend.config import load_config
from tests.support.helm import CHART, PROJECT, template
from tests.support.terraform import running
from tests.support.terraform.running import SIZES, Applied

pytestmark = pytest.mark.slow
Example = Callable[[str], Applied]


@pytest.mark.parametrize("size", SIZES)
def test_a_second_plan_changes_nothing(example: Example, size: str) -> None:
    made = example(size)
    assert made.again.code == 0, made.again.output
    assert re.fullmatch(r"Plan: \d+ to add, 0 to change, 0 to destroy\.", made.summary)


@pytest.mark.parametrize("size", SIZES)
def test_the_plans_summary_is_in_the_docs(example: Example, size: str) -> None:
    made = example(size)
    counted = Counter(item["type"] for item in made.resources if item["mode"] == "managed")
    page = (PROJECT / "docs/aws.md").read_text()
    assert f"| {size} | {counted.total()} |" in page, f"{size}: {counted.total()} resources"
    assert made.summary == f"Plan: {counted.total()} to add, 0 to change, 0 to destroy."


def test_everything_is_written_as_terraform_writes_it(tmp_path: Path) -> None:
    folder = running.copied(tmp_path, "small")
    (done,) = running.run(folder.parents[1], "fmt -check -recursive -diff")
    assert done.code == 0, done.output


@pytest.mark.parametrize(
    ("size", "file", "old", "new", "told"),
    [
        ("small", "modules/state/main.tf", "point_in_time_recovery {", "point_in_time_recover {", "Blocks of type"),
        (
            "small",
            "modules/observability/main.tf",
            "  threshold           =",
            "  thresh0ld           =",
            "not expected here",
        ),
        ("small", "modules/budget/main.tf", '  budget_type  = "COST"\n', "", "Missing required argument"),
        (
            "small",
            "modules/state/main.tf",
            'resource "aws_kms_alias"',
            'resource "aws_kms_aliass"',
            "Invalid resource type",
        ),
    ],
)
def test_a_mistake_in_the_configuration_is_found(
    tmp_path: Path, size: str, file: str, old: str, new: str, told: str
) -> None:
    folder = running.copied(tmp_path, size)
    wrong = tmp_path / running.TERRAFORM / file
    text = wrong.read_text()
    assert old in text
    wrong.write_text(text.replace(old, new, 1))
    done = running.run(folder, "init -no-color", "validate -no-color")
    assert done[-1].code == 1
    assert told in done[-1].error


def test_terraforms_own_tests_pass(tmp_path: Path) -> None:
    for size in SIZES:
        folder = running.copied(tmp_path / size, size)
        done = running.run(folder, "init -no-color", "test -no-color")
        assert done[-1].code == 0, done[-1].output + done[-1].error
        assert "0 failed" in done[-1].output


@pytest.mark.parametrize("size", ["small", "medium"])
def test_the_router_reads_its_configuration(example: Example, size: str, tmp_path: Path) -> None:
    made = example(size)
    (parameter,) = made.of("aws_ssm_parameter")
    file = tmp_path / "router.yaml"
    file.write_text(parameter["value"])
    config = load_config(file)
    (table,) = made.of("aws_dynamodb_table")
    assert config.state == f"dynamodb://{table['name']}?region=eu-central-1"
    assert [key.name for key in config.security.api_keys] == ["my-app"]
    places = [f"s3://{bucket['bucket']}/batches" for bucket in made.of("aws_s3_bucket")]
    assert ([config.batches.place] if config.batches.place else []) == places
    alarms = made.of("aws_cloudwatch_metric_alarm")
    assert {alarm["namespace"] for alarm in alarms} == {config.telemetry.cloudwatch_namespace}
    # A limit of tokens for each model, and for no other.
    assert {alarm["dimensions"]["model"] for alarm in alarms if alarm["dimensions"]} == set(config.names)


def test_sizes_of_one_deployment_share_the_table_and_the_policy(example: Example) -> None:
    tables = {size: example(size).of("aws_dynamodb_table")[0] for size in SIZES}
    keys = ("name", "hash_key", "range_key", "attribute", "ttl", "point_in_time_recovery")
    assert len({json.dumps([table[key] for key in keys]) for table in tables.values()}) == 1
    small, medium = (yaml.safe_load(example(size).of("aws_ssm_parameter")[0]["value"]) for size in ("small", "medium"))
    assert small["policy"] == medium["policy"]
    assert small["routing"]["host"] == "in_process"
    assert small["models"] == medium["models"]


def test_the_large_size_renders_the_chart(example: Example, tmp_path: Path) -> None:
    made = example("large")
    releases = {release["name"]: release for release in made.of("helm_release")}
    router = releases["router"]
    assert (made.folder / router["chart"]).resolve().name == CHART.name
    files = []
    for index, text in enumerate(router["values"]):
        files.append(tmp_path / f"{index}.yaml")
        files[-1].write_text(text)
    done = template(*files)
    assert done.returncode == 0, done.stderr
    objects = [item for item in yaml.safe_load_all(done.stdout) if item]
    config = next(item for item in objects if item["kind"] == "ConfigMap" and "router.yaml" in item.get("data", {}))
    written = yaml.safe_load(config["data"]["router.yaml"])
    assert written["state"] == "dynamodb://llm-router?region=eu-central-1"
    (bucket,) = made.of("aws_s3_bucket")
    assert written["batches"] == {"place": f"s3://{bucket['bucket']}/batches"}
    account = made.of("aws_eks_pod_identity_association")
    assert router["namespace"] in {item["namespace"] for item in account}
    accounts = [item["metadata"]["name"] for item in objects if item["kind"] == "ServiceAccount"]
    assert set(accounts) & {item["service_account"] for item in account}
    assert any(item["kind"] == "NodePool" for item in objects)


def test_a_bigger_size_takes_the_table_over(tmp_path: Path) -> None:
    made = running.applied(running.copied(tmp_path, "medium", name="llm-router-2", existing_state="llm-router"))
    assert made.again.code == 0
    assert not made.of("aws_kms_key")
    tables = [item for item in made.resources if item["type"] == "aws_dynamodb_table"]
    assert [(item["mode"], item["values"]["name"]) for item in tables] == [("data", "llm-router")]
    (parameter,) = made.of("aws_ssm_parameter")
    assert parameter["name"] == "/llm-router-2/router.yaml"
    assert yaml.safe_load(parameter["value"])["state"] == "dynamodb://llm-router?region=eu-central-1"
