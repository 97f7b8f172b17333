"""The artifact in the package: what those who upgrade rely on."""

from __future__ import annotations

import numpy as np
import onnx

from router_backend.classifier.artifact import Artifact, newest_artifact
from router_backend.classifier.repository import MODEL_REPOSITORY
from router_backend.classifier.space_map import SPACE_MAP_FILE, SpaceMap
from router_backend.contract import MODEL_FILE, TASKS, TOKENIZER_FILE

SHIPPED = newest_artifact(MODEL_REPOSITORY / "classifier")
_OLDER_SPACE = 2332015365555690001  # of version 4


def test_state_learned_with_the_artifact_before_is_carried_over() -> None:
    space_map = SpaceMap.load(SHIPPED / SPACE_MAP_FILE)
    assert space_map.source == _OLDER_SPACE
    assert space_map.target == Artifact(SHIPPED).metadata.embedding_space


def test_it_is_small() -> None:
    assert (SHIPPED / MODEL_FILE).stat().st_size <= 16_000_000
    assert (SHIPPED / TOKENIZER_FILE).stat().st_size <= 2_000_000


def test_every_onnxruntime_runs_it_fast() -> None:
    """Of the two operators that stand for a whole norm, one is slow up to 1.27 and the other since 1.28; the heads' is over one vector."""
    nodes = onnx.load(str(SHIPPED / MODEL_FILE)).graph.node
    whole = [node for node in nodes if node.op_type in ("LayerNormalization", "SkipLayerNormalization")]
    assert [node.input[1] for node in whole] == ["model.heads.norm.weight"]


def test_forms_of_one_request_are_one_request() -> None:
    forms = ["write a haiku about “rain” ", 'Write a  Haiku about "rain"', 'WRITE A HAIKU ABOUT "RAIN"']
    found = Artifact(SHIPPED).predict(forms)
    np.testing.assert_array_equal(found.probabilities, found.probabilities[[0, 0, 0]])
    assert TASKS[found.probabilities[0].argmax()] == "text_generation"
