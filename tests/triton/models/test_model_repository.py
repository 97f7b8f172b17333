"""The configurations in `model_repository`, against what the models get and give."""

from __future__ import annotations

import re

from router_backend.classifier.artifact import artifact_metadata, newest_artifact
from router_backend.classifier.repository import MODEL_REPOSITORY
from router_backend.contract import LENGTH_BUCKETS, bucket_length


def test_every_length_that_is_served_is_warmed_up_and_no_other() -> None:
    artifact = newest_artifact(MODEL_REPOSITORY / "classifier")
    longest = bucket_length(artifact_metadata(artifact).max_tokens)
    warm_up = (MODEL_REPOSITORY / "classifier/config.pbtxt").read_text().partition("model_warmup")[2]
    for name in ("input_ids", "attention_mask"):
        lengths = re.findall(rf'key: "{name}" value: {{[^}}]*dims: \[ (\d+) \]', warm_up)
        assert [int(length) for length in lengths] == [bucket for bucket in LENGTH_BUCKETS if bucket <= longest]
