"""The ONNX graph that fulfils the contract, and its int8 form."""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from classifier_training.calibration import Calibration
from classifier_training.embedding import Projection
from classifier_training.export.fusion import plain_norms, ready_for_fusion
from classifier_training.model import Classifier
from router_backend.contract import (
    ATTENTION_MASK,
    COMPLEXITY,
    EMBEDDING,
    EMBEDDING_SPACE,
    INPUT_IDS,
    TASK_PROBABILITIES,
    ArtifactMetadata,
)

OPSET = 17
_IR_VERSION = 8
_ACTIVATIONS = ("BiasGelu", "FastGelu", "Gelu", "Relu")  # as the fused graph has them


class ServedClassifier(nn.Module):
    """Calibrated probabilities, complexity and embedding in one forward pass."""

    def __init__(self, model: Classifier, calibration: Calibration, projection: Projection) -> None:
        super().__init__()
        self.model = model
        self.calibration = calibration
        self.matrix = nn.Parameter(torch.from_numpy(projection.matrix), requires_grad=False)
        self.offset = nn.Parameter(torch.from_numpy(projection.offset), requires_grad=False)
        self.space = embedding_space(self)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        pooled, outputs = self.model(input_ids, attention_mask)
        probabilities = torch.softmax(outputs.tasks / self.calibration.temperature, dim=-1)
        complexity = torch.sigmoid(self.calibration.slope * outputs.complexity + self.calibration.intercept)
        features = pooled
        if outputs.success.shape[1]:  # an empty block can't be quantised
            features = torch.cat([pooled, torch.sigmoid(outputs.success)], dim=-1)
        embedding = features @ self.matrix + self.offset
        # A constant for each row of the batch; the sum gives the shape [batch, 1].
        space = attention_mask.sum(dim=1, keepdim=True) * 0 + self.space
        return probabilities, complexity.unsqueeze(-1), embedding, space


def embedding_space(module: nn.Module) -> int:
    """A positive 63-bit id of the weights: equal for float32 and int8 files of one training, different for any other."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.detach().float().numpy()).tobytes())
    return int.from_bytes(digest.digest()[:8]) >> 1 or 1


def export_float32(served: ServedClassifier, path: Path) -> None:
    """Write the float32 graph: opset 17, both axes dynamic, without metadata."""
    served.eval()
    ids = torch.ones((2, 8), dtype=torch.int64)
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    outputs = [TASK_PROBABILITIES, COMPLEXITY, EMBEDDING, EMBEDDING_SPACE]
    axes = {name: {0: "batch", 1: "tokens"} for name in (INPUT_IDS, ATTENTION_MASK)}
    axes |= {name: {0: "batch"} for name in outputs}
    with warnings.catch_warnings():
        # The tracing exporter is deprecated; the new one writes graphs that older onnxruntime can't load.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            served,
            (ids, mask),
            str(path),
            input_names=[INPUT_IDS, ATTENTION_MASK],
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )


def quantise(source: Path, target: Path, heads: int, hidden: int, exact: bool = False) -> None:
    """Fuse the encoder's attention and quantise it: dynamic int8, per channel.

    The heads and the projection stay float32: they are small, and the bandit reads them. A fused attention quantises its
    input once instead of three times. Encoders that onnxruntime can't fuse stay as they are.

    Args:
        heads: attention heads of the encoder.
        hidden: its hidden size.
        exact: products behind an activation stay float32, too. An encoder as it was published has outliers there, which eight
            bits for a whole tensor don't hold; one that was fine-tuned has learned around them. A third larger and slower.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers.optimizer import optimize_model

    with tempfile.TemporaryDirectory() as folder:
        between = Path(folder) / "fused.onnx"
        onnx.save(ready_for_fusion(onnx.load(str(source)), heads), str(between))
        fused = optimize_model(str(between), model_type="bert", num_heads=heads, hidden_size=hidden, opt_level=0)
        plain_norms(fused.model.graph)
        fused.save_model_to_file(str(between))
        outside = [
            node.name
            for node in fused.model.graph.node
            if node.op_type in ("MatMul", "Gemm") and "/encoder" not in node.name
        ]
        # A Gemm is taken apart before names are looked up.
        kept = outside + [f"{name}_MatMul" for name in outside]
        if exact:
            kept += _behind_activations(fused.model.graph)
        quantize_dynamic(
            between,
            target,
            per_channel=True,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=kept,
            # Shapes behind fused operators can't be inferred; all of them are float.
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )


def _behind_activations(graph: onnx.GraphProto) -> list[str]:
    activated = {name for node in graph.node if node.op_type in _ACTIVATIONS for name in node.output}
    return [node.name for node in graph.node if node.op_type == "MatMul" and node.input[0] in activated]


def write_metadata(path: Path, metadata: ArtifactMetadata) -> None:
    """Put the metadata into the file, and hold its IR version at one that onnxruntime 1.19 reads."""
    model = onnx.load(str(path))
    model.ir_version = min(model.ir_version, _IR_VERSION)
    del model.metadata_props[:]
    for key, value in metadata.to_props().items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, str(path))
