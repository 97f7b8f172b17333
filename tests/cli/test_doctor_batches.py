"""`llm-router doctor` asks AWS for what Bedrock's batches need, as the router will."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cli.test_doctor import run
from tests.support.bedrock_jobs import BedrockJobs
from tests.support.moto_s3 import bucket
from tests.support.scripted_bedrock import CREDENTIALS, REGION

BUCKET = "doctors-jobs"


@pytest.fixture
async def jobs(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BedrockJobs]:
    with bucket(BUCKET, monkeypatch) as client:
        async with BedrockJobs(client) as found:
            monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK", found.url)
            yield found
        assert not found.mistakes


def written(folder: Path, place: str = f"s3://{BUCKET}/router") -> Path:
    file = folder / "router.yaml"
    file.write_text(f"""\
version: 1
models:
  - name: nova
    upstream: {{kind: bedrock, model: eu.amazon.nova-pro-v1:0, region: {REGION}}}
    price: {{input: 0.8, output: 3.2}}
    batch: {{place: "{place}", role_arn: "arn:aws:iam::111122223333:role/jobs"}}
    context_window: 8192
default_model: nova
""")
    return file


async def test_a_bucket_and_jobs_that_can_be_listed_are_fine(jobs: BedrockJobs, tmp_path: Path) -> None:
    result = await run(written(tmp_path))
    assert result.exit_code == 0, result.output
    assert f"ok    batches of nova: files in s3://{BUCKET}/router and Bedrock's jobs can be listed" in result.output
    assert jobs.asked == ["ListModelInvocationJobs"]


async def test_a_bucket_that_is_not_there_is_told(jobs: BedrockJobs, tmp_path: Path) -> None:
    result = await run(written(tmp_path, "s3://nobodys-bucket/router"))
    assert result.exit_code == 1
    assert "wrong batches of nova: nova: s3: list_objects_v2: HTTP 404 (NoSuchBucket)" in result.output
    assert "the router needs the bucket of s3://nobodys-bucket/router, s3:ListBucket there" in result.output


async def test_a_right_that_is_missing_is_told(jobs: BedrockJobs, tmp_path: Path) -> None:
    jobs.refuse = [(403, "AccessDeniedException")]
    result = await run(written(tmp_path))
    assert result.exit_code == 1
    assert "HTTP 403 (AccessDeniedException)" in result.output
    assert "bedrock:ListModelInvocationJobs" in result.output


async def test_nothing_is_asked_without_leave_or_credentials(
    jobs: BedrockJobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = await run(written(tmp_path), "--no-ask")
    assert result.exit_code == 0, result.output
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    result = await run(written(tmp_path))
    assert result.exit_code == 1
    assert "wrong model nova: " in result.output
    assert "batches of nova" not in result.output
    assert jobs.asked == []
