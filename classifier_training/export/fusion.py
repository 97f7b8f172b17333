"""What onnxruntime's optimizer has to find before it fuses attention: a graph as transformers 4 exported it.

onnxruntime 1.32 knows transformers 5's mask and reshapes; older ones, which may be installed, leave such attention as dozens of small
operators without a word. A twentieth of the forward pass hangs on it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from router_backend.contract import ATTENTION_MASK

_HIDDEN = -10000.0  # added to the scores of padding: softmax makes it nothing, in float16 too
_MASK = "attention_bias"
_HEADS = "model.heads."


def ready_for_fusion(model: onnx.ModelProto, heads: int) -> onnx.ModelProto:
    """Rewrite the mask and the heads' reshapes of `model` in place; a graph of another form stays as it is."""
    graph = model.graph
    constants = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    constants |= {
        node.output[0]: numpy_helper.to_array(node.attribute[0].t)
        for node in graph.node
        if node.op_type == "Constant" and node.attribute[0].name == "value"
    }
    _plain_mask(graph, constants)
    _named_heads(graph, constants, heads)
    return model


def _plain_mask(graph: onnx.GraphProto, constants: dict[str, NDArray[Any]]) -> None:
    """softmax(q k / √d + (1 − mask) · −10000), where transformers 5 looks up pairs of positions for a mask of any kind.

    A student's own encoder is written like this already.
    """
    makers = {name: node for node in graph.node for name in node.output}
    found = False
    for softmax in graph.node:
        scores = makers.get(softmax.input[0]) if softmax.op_type == "Softmax" else None
        if scores is None or scores.op_type != "Add":
            continue
        scaled, mask = (makers.get(name) for name in scores.input)
        if scaled is None or scaled.op_type != "Mul" or mask is None or mask.op_type != "Where":
            continue
        scale = constants.get(scaled.input[1])
        if scale is None or scale.size != 1:
            continue
        # A division, or it is taken for the mask's own product.
        divisor = numpy_helper.from_array((1 / scale).astype(scale.dtype), f"{scaled.name}_divisor")
        graph.initializer.append(divisor)
        scaled.op_type, scaled.input[1], scores.input[1], found = "Div", divisor.name, _MASK, True
    if not found:
        return
    axes = [helper.make_tensor(f"{_MASK}_axis{axis}", TensorProto.INT64, [1], [axis]) for axis in (1, 2)]
    one, hidden = (numpy_helper.from_array(np.array(n, np.float32), f"{_MASK}_{n:.0f}") for n in (1.0, _HIDDEN))
    graph.initializer.extend([*axes, one, hidden])
    nodes = [
        helper.make_node("Unsqueeze", [ATTENTION_MASK, axes[0].name], [f"{_MASK}_3d"], f"{_MASK}/Unsqueeze"),
        helper.make_node("Unsqueeze", [f"{_MASK}_3d", axes[1].name], [f"{_MASK}_4d"], f"{_MASK}/Unsqueeze_1"),
        helper.make_node("Cast", [f"{_MASK}_4d"], [f"{_MASK}_float"], f"{_MASK}/Cast", to=TensorProto.FLOAT),
        helper.make_node("Sub", [one.name, f"{_MASK}_float"], [f"{_MASK}_padding"], f"{_MASK}/Sub"),
        helper.make_node("Mul", [f"{_MASK}_padding", hidden.name], [_MASK], f"{_MASK}/Mul"),
    ]
    for place, node in enumerate(nodes):
        graph.node.insert(place, node)


def _named_heads(graph: onnx.GraphProto, constants: dict[str, NDArray[Any]], heads: int) -> None:
    """[batch, tokens, heads, size] where the export says [batch, tokens, −1, size]."""
    graph.initializer.append(helper.make_tensor("attention_heads", TensorProto.INT64, [1], [heads]))
    for node in graph.node:
        if node.op_type != "Concat" or len(node.input) != 4:
            continue
        count, size = (constants.get(name) for name in node.input[2:])
        if count is not None and size is not None and count.tolist() == [-1]:
            node.input[2] = "attention_heads"


def plain_norms(graph: onnx.GraphProto) -> None:
    """The encoder's norms as sums, products and means: fast in every onnxruntime. The heads' one is over a single vector and stays.

    Up to 1.27 `LayerNormalization` takes four times as long as `SkipLayerNormalization`, which has the sum before it in it; since 1.28 it is the
    other way round. These operators take as long as the faster one in both. The square is a product and no power, or onnxruntime would put
    the norm together again.
    """
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        if node.op_type == "SkipLayerNormalization":
            terms, weight, bias = [node.input[0], *node.input[4:5], node.input[1]], node.input[2], node.input[3]
        elif node.op_type == "LayerNormalization" and not node.input[1].startswith(_HEADS):
            terms, weight, bias = [node.input[0]], node.input[1], node.input[2]
        else:
            graph.node.append(node)
            continue
        name = node.name or node.output[0]
        epsilon = next(attribute.f for attribute in node.attribute if attribute.name == "epsilon")
        graph.initializer.append(numpy_helper.from_array(np.array(epsilon, np.float32), f"{name}/epsilon"))

        def add(operator: str, inputs: list[str], name: str = name, output: str = "", **how: Any) -> str:
            at = f"{name}/{operator}_{len(graph.node)}"
            graph.node.append(helper.make_node(operator, inputs, [output or f"{at}_output_0"], at, **how))
            return str(graph.node[-1].output[0])

        total = terms[0]
        for term in terms[1:]:  # the product's bias first, which then stands right behind the product
            total = add("Add", [total, term])
        centred = add("Sub", [total, add("ReduceMean", [total], axes=[-1], keepdims=1)])
        variance = add("ReduceMean", [add("Mul", [centred, centred])], axes=[-1], keepdims=1)
        scale = add("Sqrt", [add("Add", [variance, f"{name}/epsilon"])])
        add("Add", [add("Mul", [add("Div", [centred, scale]), weight]), bias], output=node.output[0])
