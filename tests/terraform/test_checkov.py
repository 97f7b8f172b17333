"""Slow: checkov on the modules and examples. What it finds has a reason here, or is mended."""

from __future__ import annotations

import re

import pytest

from tests.support.checkov import failed
from tests.support.helm import PROJECT

pytestmark = pytest.mark.slow
_LOGGED = "the gateway logs each request, without its content"
# Check: which resources, why.
REASONS: dict[str, tuple[str, str]] = {
    "CKV2_AWS_29": (r"aws_api_gateway_stage", "a firewall is a choice: it costs more than the small size itself"),
    "CKV2_AWS_4": (r"aws_api_gateway_stage", _LOGGED),
    "CKV2_AWS_51": (r"aws_api_gateway_stage", "the integration is a function, and takes requests by its permission alone"),
    "CKV2_AWS_53": (r"aws_api_gateway_method", "the gateway validates requests, and streams what it refuses in OpenAI's words"),
    "CKV2_AWS_57": (r"aws_secretsmanager_secret.hash", "another key would make sessions and prompts of before unknown"),
    "CKV_AWS_59": (r"aws_api_gateway_method", "the gateway asks for API keys; authorization = AWS_IAM signs requests besides"),
    "CKV_AWS_76": (r"aws_api_gateway_stage", _LOGGED),
    "CKV_AWS_91": (r"aws_lb", _LOGGED),
    "CKV_AWS_116": (r"aws_lambda_function", "it is called by clients who wait; nothing is asynchronous"),
    "CKV_AWS_120": (r"aws_api_gateway_stage", "answers are never the same"),
    "CKV_AWS_225": (r"aws_api_gateway_method_settings", "answers are never the same"),
    "CKV_AWS_272": (r"aws_lambda_function", "Lambda signs no container images"),
    "CKV_AWS_150": (r"aws_lb", "it has, but in development"),
    "CKV_AWS_18": (r"aws_s3_bucket.batches", _LOGGED),
    "CKV_AWS_21": (r"aws_s3_bucket.batches", "what a client deletes is gone"),
    "CKV_AWS_144": (r"aws_s3_bucket.batches", "files live for days; a copy in another region is one more place of prompts"),
    "CKV2_AWS_62": (r"aws_s3_bucket.batches", "nothing waits for its events"),
    "CKV_AWS_394": (r"aws_availability_zones", "the first two or three are taken, by name"),
}  # fmt: skip


def test_what_checkov_finds_in_terraform_has_a_reason() -> None:
    found = failed("--directory", PROJECT / "deploy/terraform", "--framework", "terraform")
    for finding in found:
        where, _ = REASONS.get(finding["check_id"], ("$^", ""))
        assert re.search(where, finding["resource"]), (finding["check_id"], finding["check_name"], finding["resource"])
    assert REASONS.keys() == {finding["check_id"] for finding in found}  # a reason for nothing is removed
