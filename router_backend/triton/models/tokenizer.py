"""`tokenizer`: a chat request to token ids and routing hints."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from router_backend.classifier.artifact import newest_artifact
from router_backend.config.runtime import state_dir
from router_backend.prompts import BadRequest
from router_backend.steps.dialect import InvalidInput
from router_backend.steps.reading import PromptReader
from router_backend.triton.models import execution, process, tensors


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        process.begin("tokenizer")
        artifact = newest_artifact(Path(args["model_repository"]).parent / "classifier")
        self._reader = PromptReader.of(artifact, state_dir())

    def execute(self, requests: list[Any]) -> list[Any]:
        return execution.each(requests, self._answer)

    def _answer(self, request: Any) -> Any:
        received = time.monotonic()
        try:
            tensors.check_parameters(request)
            parameters = tensors.parameters(request)
            prompts = [self._reader.read(row, parameters, received) for row in tensors.rows(request) or [{}]]
        except (InvalidInput, BadRequest) as error:
            return tensors.failure(str(error))
        width = max(len(prompt.input_ids) for prompt in prompts)
        outputs = [
            tensors.numbers("input_ids", [_padded(prompt.input_ids, width) for prompt in prompts], np.int64),
            tensors.numbers("attention_mask", [_padded(prompt.attention_mask, width) for prompt in prompts], np.int64),
            tensors.text("hints", [prompt.hints.to_json() for prompt in prompts]),
        ]
        return pb_utils.InferenceResponse(outputs)


def _padded(values: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    # A request of one row, which most are, needs none; numpy.pad would take a fifth of the tokenizer's time to find out.
    return values if len(values) == width else np.pad(values, (0, width - len(values)))
