"""The encoder of an artifact, read back from its graph: a training can start from what is served.

The weights come back as int8 rounded them; a few steps of training make up for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor

from classifier_training.encoders.packaged import EncoderError

_ENCODER = "model.encoder."
_QUANTISED = "_quantized"


def read_weights(model_file: Path) -> dict[str, Tensor]:
    """The encoder's weights under BertModel's names, float32.

    Raises:
        EncoderError: a graph whose attention is fused.
    """
    graph = onnx.load(str(model_file)).graph
    if any(node.op_type in ("Attention", "QAttention") for node in graph.node):
        raise EncoderError(
            f"{model_file}: its attention is fused, which hides the weights; go on from its checkpoint with --warm-start"
        )
    constants = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    weights: dict[str, NDArray[Any]] = {}
    for name, values in constants.items():
        if name.startswith(_ENCODER) and f"{name}{_QUANTISED}" not in constants and values.dtype == np.float32:
            weights[name.removeprefix(_ENCODER)] = values
    for name, values in constants.items():
        if not name.endswith(_QUANTISED):
            continue
        base = name.removesuffix(_QUANTISED)
        exact = (values.astype(np.float32) - constants[f"{base}_zero_point"].astype(np.float32)) * constants[
            f"{base}_scale"
        ]
        if base.startswith(_ENCODER):
            weights[base.removeprefix(_ENCODER)] = exact
        elif bias := _bias_behind(name, readers):
            weights[bias.removeprefix(_ENCODER).removesuffix("bias") + "weight"] = exact.T
    return {
        name: torch.from_numpy(np.array(values, order="C"))
        for name, values in weights.items()
        if not name.endswith(("_scale", "_zero_point"))
    }


def _bias_behind(name: str, readers: Mapping[str, list[onnx.NodeProto]]) -> str | None:
    """The bias that is added to the product with the constant `name`: it has kept its own name, the matrix has not."""
    node = next((node for node in readers.get(name, []) if node.op_type == "MatMulInteger"), None)
    for _ in range(4):  # the product, its cast, its scale, its bias
        if node is None:
            return None
        for source in node.input:
            # A norm fused with the sum before it reads two: the product's, and its own.
            if source.startswith(_ENCODER) and source.endswith(".bias") and "LayerNorm" not in source:
                return str(source)
        node = next(iter(readers.get(node.output[0], [])), None)
    return None
