"""An artifact's weights, read back from its graph: a training can start from what is served, without a checkpoint.

The weights come back as int8 rounded them; a few steps of training make up for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor

from classifier_training.encoders.packaged import EncoderError

_ENCODER = "model.encoder."
_HEADS = "model.heads."
_QUANTISED = "_quantized"
_TRANSPOSED = "_Transposed"  # onnxruntime 1.28 and newer say so where they turn a matrix for a product
_PARTS = ("query", "key", "value")

Constants = Mapping[str, NDArray[Any]]


class EncoderWeights(NamedTuple):
    """What a graph says of its encoder.

    Attributes:
        weights: float32, under the names of the module that was exported: BertModel's or CompactEncoder's.
        heads: attention heads; None where the attention isn't fused, which hides them.
        pool_after: layers that read every token, before pairs are pooled; 0 where nothing is pooled.
    """

    weights: dict[str, Tensor]
    heads: int | None
    pool_after: int


def read_encoder(model_file: Path) -> EncoderWeights:
    """The encoder of an int8 graph.

    Raises:
        EncoderError: a graph whose attention is fused and not int8.
    """
    graph = onnx.load(str(model_file)).graph
    if any(node.op_type == "Attention" for node in graph.node):
        raise EncoderError(
            f"{model_file}: its attention is fused and was left in float32, which hides the weights; go on from its"
            " checkpoint with --warm-start"
        )
    constants = _constants(graph)
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    weights: dict[str, NDArray[Any]] = _kept(constants, _ENCODER)
    for node in graph.node:
        if node.op_type == "QAttention":
            weights |= _attention(node, constants, readers)
    for name in constants:
        if not name.endswith(_QUANTISED):
            continue
        base = name.removesuffix(_QUANTISED)
        if base.startswith(_ENCODER):
            weights[base.removeprefix(_ENCODER)] = _exact(base, constants)
        elif module := _module_of(name, readers):
            weights[f"{module}.weight"] = _exact(base, constants).T
    return EncoderWeights(_tensors(weights), _attention_heads(graph), _pooled_after(graph))


def read_heads(model_file: Path) -> dict[str, Tensor]:
    """The weights of the heads under the names of `Heads`, float32; what the graph leaves out is missing."""
    constants = _constants(onnx.load(str(model_file)).graph)
    heads = _kept(constants, _HEADS)
    for name in constants:
        if name.startswith(_HEADS) and name.endswith(_QUANTISED):
            base = name.removesuffix(_QUANTISED)
            heads[base.removeprefix(_HEADS).removesuffix(_TRANSPOSED)] = _exact(base, constants)
    # A matrix stands in the graph as it is multiplied with; torch keeps it the other way round.
    return _tensors({name: values.T if values.ndim == 2 else values for name, values in heads.items()})


def _attention_heads(graph: onnx.GraphProto) -> int | None:
    found = (
        attribute.i
        for node in graph.node
        if node.op_type == "QAttention"
        for attribute in node.attribute
        if attribute.name == "num_heads"
    )
    return next(found, None)


def _pooled_after(graph: onnx.GraphProto) -> int:
    layers, states = 0, set()
    for node in graph.node:
        if node.op_type == "QAttention":
            layers += 1
        elif any(name.endswith("norm.bias") for name in node.input):  # the end of a norm, in one operator or several
            states.add(node.output[0])
        elif node.op_type == "Pad" and node.input[0] in states:
            return layers
    return 0


def _constants(graph: onnx.GraphProto) -> dict[str, NDArray[Any]]:
    return {item.name: numpy_helper.to_array(item) for item in graph.initializer}


def _kept(constants: Constants, prefix: str) -> dict[str, NDArray[Any]]:
    """What has stayed float32, under its own name."""
    return {
        name.removeprefix(prefix).removesuffix(_TRANSPOSED): values
        for name, values in constants.items()
        if name.startswith(prefix)
        and values.dtype == np.float32
        and f"{name}{_QUANTISED}" not in constants
        and not name.endswith(("_scale", "_zero_point"))
    }


def _tensors(weights: Constants) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.array(values, order="C")) for name, values in weights.items()}


def _exact(base: str, constants: Constants) -> NDArray[Any]:
    shifted = constants[f"{base}{_QUANTISED}"].astype(np.float32) - constants[f"{base}_zero_point"].astype(np.float32)
    return np.asarray(shifted * constants[f"{base}_scale"])


def _attention(
    node: onnx.NodeProto, constants: Constants, readers: Mapping[str, list[onnx.NodeProto]]
) -> dict[str, NDArray[Any]]:
    """Weights and biases of a fused attention's three products, which stand side by side in it."""
    quantised = next(iter(readers.get(node.output[0], [])))  # of what it writes, for the product behind it
    product = next(iter(readers.get(quantised.output[0], [])))
    behind = _module_of(product.input[1], readers) or ""
    # BertModel: "….attention.output.dense" beside "….attention.self.query"; CompactEncoder: "….attention.output" beside "….attention.query".
    beside = (
        behind.removesuffix("output.dense") + "self." if behind.endswith(".dense") else behind.removesuffix("output")
    )
    matrix = _exact(node.input[1].removesuffix(_QUANTISED), constants)
    found: dict[str, NDArray[Any]] = {}
    for part, weight, bias in zip(
        _PARTS, np.split(matrix, 3, axis=1), np.split(constants[node.input[2]], 3), strict=True
    ):
        found |= {f"{beside}{part}.weight": weight.T, f"{beside}{part}.bias": bias}
    return found


def _module_of(name: str, readers: Mapping[str, list[onnx.NodeProto]]) -> str | None:
    """The module whose matrix is the constant `name`: its bias has kept its own name, the matrix has not."""
    node = next((node for node in readers.get(name, []) if node.op_type == "MatMulInteger"), None)
    if node is not None and node.name.startswith("/model/encoder/projection/"):
        return "projection"  # it has no bias
    for _ in range(4):  # the product, its cast, its scale, its bias
        if node is None:
            return None
        # A norm fused with the sum before it reads two biases: its own, and as the fifth input the product's.
        sources = node.input[4:5] if node.op_type == "SkipLayerNormalization" else node.input
        for source in sources:
            if source.startswith(_ENCODER) and source.endswith(".bias"):
                return str(source).removeprefix(_ENCODER).removesuffix(".bias")
        node = next(iter(readers.get(node.output[0], [])), None)
    return None
