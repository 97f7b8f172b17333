"""A tiny artifact: a real ONNX file and tokenizer that fulfil the contract."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from router_backend.contract import (
    CONTRACT_VERSION,
    EMBEDDING_DIM,
    MODEL_FILE,
    TASKS,
    TOKENIZER_FILE,
    ArtifactMetadata,
    sha256_of,
)


def make_artifact(folder: Path, scale: float = 1.0, tasks: tuple[str, ...] = TASKS, space: int = 77) -> Path:
    """Embedding: the mean token id × scale in every component; tasks: alike; complexity: 0.25."""
    folder.mkdir(parents=True)
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
        tasks=tasks,
        embedding_dim=EMBEDDING_DIM,
        embedding_space=space,
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
