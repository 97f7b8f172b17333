"""What `batch:` of a model takes, by the kind of its upstream."""

from __future__ import annotations

import re
from typing import Any

import botocore.session
import pytest
from pydantic import ValidationError

from router_backend.config.models import ModelConfig
from tests.support.arms import model

BEDROCK = {"kind": "bedrock", "model": "anthropic.claude-haiku-4-5-20251001-v1:0", "region": "eu-central-1"}
LOCAL = {"kind": "local"}
PLACE = {"place": "s3://bucket/jobs", "role_arn": "arn:aws:iam::111122223333:role/jobs"}
PROFILE = "arn:aws:bedrock:eu-central-1:111122223333:inference-profile/eu.amazon.nova-pro-v1:0"
PROMPT = "arn:aws:bedrock:eu-central-1:111122223333:prompt/ABCDEFGHIJ:1"


def read(batch: Any, upstream: dict[str, Any] | None = None) -> ModelConfig:
    fields = model("a", "http://127.0.0.1:9/v1", batch=batch)
    return ModelConfig.model_validate(fields | ({"upstream": upstream} if upstream else {}))


def test_the_least_is_bedrocks_own() -> None:
    assert read(True).least_batched == 1
    assert read(PLACE, BEDROCK).least_batched == 100
    assert read({**PLACE, "min_lines": 500}, BEDROCK).least_batched == 500


@pytest.mark.parametrize(
    ("batch", "upstream", "told"),
    [
        (True, BEDROCK, "bucket"),
        ({"place": "s3://bucket"}, BEDROCK, "role"),
        ({**PLACE, "place": "/tmp/jobs"}, BEDROCK, "pattern"),
        (PLACE, {**BEDROCK, "model": PROMPT}, "models and inference profiles"),
        (PLACE, None, "Bedrock's"),
        (True, LOCAL, "idle capacity"),
        ({"min_lines": 5, "max_lines": 4}, None, "max_lines"),
    ],
)
def test_what_cannot_be_is_refused(batch: Any, upstream: dict[str, Any] | None, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        read(batch, upstream)


@pytest.mark.parametrize("named", [BEDROCK["model"], PROFILE, "us.meta.llama3-3-70b-instruct-v1:0", PROMPT])
def test_models_are_those_that_aws_takes(named: str) -> None:
    """By the pattern of botocore's model of CreateModelInvocationJob."""
    operation = botocore.session.Session().get_service_model("bedrock").operation_model("CreateModelInvocationJob")
    taken = bool(re.fullmatch(operation.input_shape.members["modelId"].metadata["pattern"], named))
    if taken:
        assert read(PLACE, {**BEDROCK, "model": named}).batch
    else:
        with pytest.raises(ValidationError):
            read(PLACE, {**BEDROCK, "model": named})
