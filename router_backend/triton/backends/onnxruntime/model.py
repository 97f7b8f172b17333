"""Triton's `onnxruntime` backend, written as a Python-based backend on the onnxruntime package.

It serves the `config.pbtxt` that NVIDIA's C++ backend serves, so that one model folder runs on both.
Source of the mechanism: https://github.com/triton-inference-server/backend/blob/main/docs/python_based_backends.md
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """One session per model instance."""

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        file = config.get("default_model_filename") or "model.onnx"
        options = ort.SessionOptions()
        options.intra_op_num_threads = _threads(config, "intra_op_thread_count")
        options.inter_op_num_threads = _threads(config, "inter_op_thread_count")
        # Spinning threads would take the core from the processes of the other models.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = Path(args["model_repository"]) / args["model_version"] / file
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._inputs = [item["name"] for item in config["input"]]
        self._outputs = [item["name"] for item in config["output"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """One forward pass for requests of equal shapes (Triton batches no others), one response each."""
        try:
            inputs = [
                [pb_utils.get_input_tensor_by_name(r, name).as_numpy() for name in self._inputs] for r in requests
            ]
            stacked = inputs[0] if len(inputs) == 1 else [np.concatenate(parts) for parts in zip(*inputs, strict=True)]
            outputs = self._session.run(self._outputs, dict(zip(self._inputs, stacked, strict=True)))
        except Exception as error:  # one error response each; an exception here would take the instance down
            failure = pb_utils.TritonError(f"onnxruntime: {error}")
            return [pb_utils.InferenceResponse(error=failure) for _ in requests]
        responses, row = [], 0
        for tensors in inputs:
            rows = slice(row, row + len(tensors[0]))
            row = rows.stop
            tensors_out = [pb_utils.Tensor(n, o[rows]) for n, o in zip(self._outputs, outputs, strict=True)]
            responses.append(pb_utils.InferenceResponse(tensors_out))
        return responses


def _threads(config: dict[str, Any], key: str) -> int:
    return int(config.get("parameters", {}).get(key, {}).get("string_value", "1"))
