"""A correction of an artifact's tasks, written into its graph: encoder, complexity and embedding stay as they are.

`softmax((log p + normed(pooled) @ matrix + offset) / temperature)` in place of p. A matrix of zeros changes nothing. Where the tasks are others
than the artifact's, what it says of its own is left out: `softmax((normed(pooled) @ matrix + offset) / temperature)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from router_backend.contract import EMBEDDING_SPACE, TASK_PROBABILITIES

FloatArray = NDArray[np.float32]

_BEFORE = f"{TASK_PROBABILITIES}_before"
_EPSILON = 1e-5
_SMALLEST = 1e-7  # of a probability, so that its logarithm is finite
NEVER = -1e5  # offset of a place that no task has: its probability is 0


class CorrectionError(ValueError):
    """A graph without the parts that a correction is put on."""


@dataclass(frozen=True, slots=True)
class Correction:
    """Matrix FP32 [hidden, TASK_PLACES], offset FP32 [TASK_PLACES], temperature; `other_tasks`: than the artifact's."""

    matrix: FloatArray
    offset: FloatArray
    temperature: float
    other_tasks: bool = False

    def __call__(self, probabilities: FloatArray, pooled: FloatArray) -> FloatArray:
        """Corrected logits, FP32 [rows, TASK_PLACES]."""
        logits = normed(pooled) @ self.matrix + self.offset
        if not self.other_tasks:
            logits = np.log(np.maximum(probabilities, _SMALLEST)) + logits
        return np.asarray(logits / self.temperature, dtype=np.float32)


def normed(pooled: FloatArray) -> FloatArray:
    """Each row with mean 0 and variance 1."""
    centred = pooled - pooled.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + _EPSILON), dtype=np.float32)


def pooled_output(model: onnx.ModelProto) -> str:
    """Name of the pooled sentence embedding, FP32 [batch, hidden]: what the heads' norm reads.

    Raises:
        CorrectionError: not a graph of `llm-router train`.
    """
    for node in model.graph.node:
        if node.op_type == "LayerNormalization" and "model.heads.norm.weight" in node.input:
            return str(node.input[0])
    raise CorrectionError("the graph has no heads as `llm-router train` exports them")


def with_pooled_output(model: onnx.ModelProto) -> tuple[onnx.ModelProto, str]:
    """A copy that also gives the pooled embedding, and its name."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    name = pooled_output(copy)
    copy.graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return copy, name


def apply(model: onnx.ModelProto, correction: Correction) -> None:
    """Put `correction` behind the tasks of `model`, in place; a second one stands upon the first."""
    graph = model.graph
    pooled = pooled_output(model)
    mark = f"correction_{sum(node.name.startswith('correction_') for node in graph.node)}"
    before = f"{_BEFORE}/{mark}"
    for node in graph.node:
        for place, name in enumerate(node.output):
            if name == TASK_PROBABILITIES:
                node.output[place] = before
    hidden = len(correction.matrix)
    constants: dict[str, NDArray[Any]] = {
        "matrix": correction.matrix,
        "offset": correction.offset,
        "ones": np.ones(hidden, np.float32),
        "temperature": np.array(correction.temperature, np.float32),
    }
    if not correction.other_tasks:
        constants["smallest"] = np.array(_SMALLEST, np.float32)
    graph.initializer.extend(numpy_helper.from_array(values, f"{mark}/{name}") for name, values in constants.items())
    steps: list[tuple[str, list[str], str, dict[str, Any]]] = [
        ("LayerNormalization", [pooled, f"{mark}/ones"], "normed", {"axis": -1, "epsilon": _EPSILON}),
        ("Gemm", [f"{mark}/normed", f"{mark}/matrix", f"{mark}/offset"], "change", {}),
    ]
    if not correction.other_tasks:
        steps += [
            ("Max", [before, f"{mark}/smallest"], "bounded", {}),
            ("Log", [f"{mark}/bounded"], "logits", {}),
            ("Add", [f"{mark}/logits", f"{mark}/change"], "corrected", {}),
        ]
    steps.append(("Div", [f"{mark}/{steps[-1][2]}", f"{mark}/temperature"], "scaled", {}))
    for number, (operator, inputs, output, attributes) in enumerate(steps):
        graph.node.append(helper.make_node(operator, inputs, [f"{mark}/{output}"], f"{mark}_{number}", **attributes))
    graph.node.append(helper.make_node("Softmax", [f"{mark}/scaled"], [TASK_PROBABILITIES], f"{mark}_softmax", axis=-1))


def move_to_space(model: onnx.ModelProto, space: int) -> None:
    """Give `model` another embedding space, in place: its contexts mean something else, as they hold probabilities of other tasks."""
    graph = model.graph
    before = f"{EMBEDDING_SPACE}_before/{sum(node.name.startswith('space_') for node in graph.node)}"
    for node in graph.node:
        for place, name in enumerate(node.output):
            if name == EMBEDDING_SPACE:
                node.output[place] = before
    constants = {"nothing": 0, "space": space}
    graph.initializer.extend(
        numpy_helper.from_array(np.array(value, np.int64), f"{before}/{name}") for name, value in constants.items()
    )
    zeros = f"{before}/zeros"
    graph.node.append(helper.make_node("Mul", [before, f"{before}/nothing"], [zeros], f"space_{before}/0"))
    graph.node.append(helper.make_node("Add", [zeros, f"{before}/space"], [EMBEDDING_SPACE], f"space_{before}/1"))
