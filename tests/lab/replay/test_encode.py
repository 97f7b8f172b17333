"""Prompts to contexts by a real ONNX file (a tiny one), with its cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from router_backend.bandits.context import CONTEXT_DIM
from router_backend.contract import (
    CONTRACT_VERSION,
    EMBEDDING_DIM,
    MODEL_FILE,
    TASKS,
    TOKENIZER_FILE,
    ArtifactMetadata,
    ContractError,
    sha256_of,
)
from router_backend.lab.replay.encode import artifact_contexts, tfidf_contexts


def make_artifact(folder: Path, scale: float = 1.0) -> Path:
    """Embedding: the mean token id × scale in every component; tasks: alike; complexity: 0.25."""
    folder.mkdir()
    words = {word: i for i, word in enumerate(["<pad>", "<unk>", "zero", "one", "def"])}
    tokenizer = Tokenizer(WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / TOKENIZER_FILE))
    batch = ["batch", "tokens"]
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["input_ids", "attention_mask"], ["kept"]),
            helper.make_node("Cast", ["kept"], ["ids"], to=TensorProto.FLOAT),
            helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
            helper.make_node("ReduceSum", ["ids", "axis"], ["total"], keepdims=1),
            helper.make_node("ReduceSum", ["mask", "axis"], ["count"], keepdims=1),
            helper.make_node("Div", ["total", "count"], ["mean"]),
            helper.make_node("MatMul", ["mean", "widths"], ["embedding"]),
            helper.make_node("MatMul", ["mean", "evenly"], ["even"]),
            helper.make_node("Softmax", ["even"], ["task_probabilities"]),
            helper.make_node("MatMul", ["mean", "nothing"], ["level"]),
            helper.make_node("Add", ["level", "quarter"], ["complexity"]),
        ],
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.INT64, batch) for name in ("input_ids", "attention_mask")],
        [
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", EMBEDDING_DIM]),
            helper.make_tensor_value_info("task_probabilities", TensorProto.FLOAT, ["batch", len(TASKS)]),
            helper.make_tensor_value_info("complexity", TensorProto.FLOAT, ["batch", 1]),
        ],
        [
            helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
            helper.make_tensor("widths", TensorProto.FLOAT, [1, EMBEDDING_DIM], [scale] * EMBEDDING_DIM),
            helper.make_tensor("evenly", TensorProto.FLOAT, [1, len(TASKS)], [0.0] * len(TASKS)),
            helper.make_tensor("nothing", TensorProto.FLOAT, [1, 1], [0.0]),
            helper.make_tensor("quarter", TensorProto.FLOAT, [1], [0.25]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    metadata = ArtifactMetadata(
        contract_version=CONTRACT_VERSION,
        tasks=TASKS,
        embedding_dim=EMBEDDING_DIM,
        embedding_space=77,
        max_tokens=16,
        tokenizer_sha256=sha256_of(folder / TOKENIZER_FILE),
        prefix="",
        precision="float32",
        scores={},
        manifest={},
    )
    helper.set_model_props(model, metadata.to_props())
    onnx.save(model, str(folder / MODEL_FILE))
    return folder


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
    assert contexts.context[:, -1].tolist() == [0.0, 1.0]
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


def test_tfidf_is_fitted_on_the_given_rows_alone() -> None:
    known = [f"word{i % 7} word{i % 3} and number{i % 5}" for i in range(60)]
    alone = tfidf_contexts([*known, "word1 word2"], np.arange(60))
    beside = tfidf_contexts([*known, "word1 word2", "elsewhere entirely elsewhere"], np.arange(60))
    assert alone.context[:61] == pytest.approx(beside.context[:61])
    assert np.linalg.norm(alone.context[0, :EMBEDDING_DIM]) == pytest.approx(1.0)
