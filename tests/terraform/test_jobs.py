"""Slow: the medium size with Bedrock's batch inference."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from router_backend.config import load_config
from tests.support.terraform import running

pytestmark = pytest.mark.slow


def test_jobs_of_bedrock_use_their_files_alone(tmp_path: Path) -> None:
    made = running.applied(running.copied(tmp_path, "medium", batch_inference=True))
    assert made.again.code == 0
    (bucket,) = made.of("aws_s3_bucket")
    place = f"arn:aws:s3:::{bucket['bucket']}"
    roles = {role["name"]: role for role in made.of("aws_iam_role")}
    jobs = roles["llm-router-bedrock-batch"]
    (trust,) = json.loads(jobs["assume_role_policy"])["Statement"]
    assert trust["Principal"] == {"Service": "bedrock.amazonaws.com"}
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": "111122223333"}
    policies = {policy["role"]: json.loads(policy["policy"])["Statement"] for policy in made.of("aws_iam_role_policy")}
    files = {action: each["Resource"] for each in policies[jobs["name"]] for action in each["Action"]}
    assert {action for action in files if action.startswith("s3:")} == {"s3:GetObject", "s3:PutObject", "s3:ListBucket"}
    assert files["s3:GetObject"] == [f"{place}/bedrock/*"]
    router = {each["Sid"]: each for each in policies["llm-router-task"]}
    assert router["JobsRole"]["Resource"] == [jobs["arn"]]
    assert router["JobsRole"]["Condition"] == {"StringEquals": {"iam:PassedToService": "bedrock.amazonaws.com"}}
    for statement in router.values():
        if "*" in statement["Resource"]:
            assert statement["Action"] == ["bedrock:ListModelInvocationJobs"]
    assert "com.amazonaws.eu-central-1.bedrock" in {each["service_name"] for each in made.of("aws_vpc_endpoint")}
    (parameter,) = made.of("aws_ssm_parameter")
    file = tmp_path / "router.yaml"
    file.write_text(parameter["value"])
    for model in load_config(file).models:
        assert model.batch
        assert (model.batch.place, model.batch.role_arn) == (f"s3://{bucket['bucket']}/bedrock", jobs["arn"])
