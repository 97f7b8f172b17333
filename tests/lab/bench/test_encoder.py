from __future__ import annotations

from router_backend.classifier.artifact import artifact_metadata, newest_artifact
from router_backend.classifier.repository import MODEL_REPOSITORY
from router_backend.lab.bench.encoder import measure_encoder


def test_the_forward_pass_is_measured_at_lengths_that_are_served() -> None:
    """256 tokens were measured beside requests whose prompts the tokenizer cuts to 128: the whole seemed faster than its part."""
    budget = artifact_metadata(newest_artifact(MODEL_REPOSITORY / "classifier")).max_tokens
    assert max(measure_encoder(0.01)) == budget
