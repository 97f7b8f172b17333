"""Prompts to contexts by a real ONNX file (a tiny one), with its cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from router_backend.bandits.context import CONTEXT_DIM, EARLIER_DIM
from router_backend.contract import EMBEDDING_DIM, TASKS, TOKENIZER_FILE, ContractError
from router_backend.lab.replay.encode import artifact_contexts, tfidf_contexts
from tests.support.artifacts import make_artifact


def test_contexts_follow_the_layout_that_serving_uses(tmp_path: Path) -> None:
    artifact = make_artifact(tmp_path / "a")
    seen: list[int] = []
    contexts = artifact_contexts(
        ["zero one", "def zero():\n  return 0"], artifact, tmp_path / "c", progress=seen.append
    )
    assert contexts.context.shape == (2, CONTEXT_DIM)
    assert contexts.embedding_space == 77
    assert contexts.context[0, :EMBEDDING_DIM] == pytest.approx(2.5)
    assert contexts.task_probabilities[0] == pytest.approx(1 / len(TASKS))
    assert contexts.complexity == pytest.approx([0.25, 0.25])
    assert contexts.context[:, EARLIER_DIM - 1].tolist() == [0.0, 1.0]
    assert seen == [2]


def test_the_cache_is_read_back_and_belongs_to_one_artifact_and_one_list_of_prompts(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first, second = make_artifact(tmp_path / "a"), make_artifact(tmp_path / "b", scale=3.0)
    fresh = artifact_contexts(["zero", "one"], first, cache, workers=2)
    assert len(list(cache.iterdir())) == 1
    for file in cache.iterdir():
        np.save(file, np.load(file) + 1)
    assert artifact_contexts(["zero", "one"], first, cache).context[0, 0] == fresh.context[0, 0] + 1
    assert artifact_contexts(["zero", "one"], second, cache).context[0, 0] == pytest.approx(3 * fresh.context[0, 0])
    assert artifact_contexts(["other", "one"], first, cache).context[1, 0] == fresh.context[1, 0]
    assert len(list(cache.iterdir())) == 3


def test_an_artifact_with_another_tokenizer_is_refused(tmp_path: Path) -> None:
    artifact = make_artifact(tmp_path / "a")
    (artifact / TOKENIZER_FILE).write_text("{}")
    with pytest.raises(ContractError, match="not the one that"):
        artifact_contexts(["zero"], artifact, tmp_path / "c")


def test_a_folder_without_an_artifact_is_refused(tmp_path: Path) -> None:
    """onnxruntime's own exception said neither what was missing nor what to do."""
    with pytest.raises(ContractError, match="missing"):
        artifact_contexts(["zero"], tmp_path, tmp_path / "c")


def test_tfidf_is_fitted_on_the_given_rows_alone() -> None:
    known = [f"word{i % 7} word{i % 3} and number{i % 5}" for i in range(60)]
    alone = tfidf_contexts([*known, "word1 word2"], np.arange(60))
    beside = tfidf_contexts([*known, "word1 word2", "elsewhere entirely elsewhere"], np.arange(60))
    assert alone.context[:61] == pytest.approx(beside.context[:61])
    assert np.linalg.norm(alone.context[0, :EMBEDDING_DIM]) == pytest.approx(1.0)
