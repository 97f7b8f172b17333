"""An artifact as it is served: onnxruntime on one thread and the tokenizer beside the model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from router_backend.classifier.encoding import PromptEncoder
from router_backend.contract import (
    ATTENTION_MASK,
    COMPLEXITY,
    EMBEDDING,
    EMBEDDING_DIM,
    INPUT_IDS,
    MODEL_FILE,
    TASK_PROBABILITIES,
    TASKS,
    TOKENIZER_FILE,
    ArtifactMetadata,
    ContractError,
    check_artifact,
)

FloatArray = NDArray[np.float32]
Progress = Callable[[int, int, float], None]


@dataclass(frozen=True, slots=True)
class Predictions:
    """Of n texts: probabilities FP32 [n, 12], complexity FP32 [n], embedding FP32 [n, 128]."""

    probabilities: FloatArray
    complexity: FloatArray
    embedding: FloatArray


class Artifact:
    """An artifact folder, checked against the contract."""

    def __init__(self, folder: Path, threads: int = 1, model_file: str = MODEL_FILE) -> None:
        """Load it.

        Raises:
            ContractError: it is missing, incomplete or of another contract.
        """
        path = folder / model_file
        if not path.is_file():
            raise ContractError(f"{path}: missing; make an artifact with `llm-router train` or give --artifact")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.folder = folder
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.metadata: ArtifactMetadata = check_artifact(folder, self.session.get_modelmeta().custom_metadata_map)
        self.encoder = PromptEncoder(folder / TOKENIZER_FILE, self.metadata.prefix, self.metadata.max_tokens)

    def run(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Predictions:
        """One batch of token ids, INT64 [batch, tokens]."""
        probabilities, complexity, embedding = self.session.run(
            [TASK_PROBABILITIES, COMPLEXITY, EMBEDDING], {INPUT_IDS: ids, ATTENTION_MASK: mask}
        )
        return Predictions(probabilities, complexity[:, 0], embedding)

    def predict(
        self, texts: Sequence[str], batch: int = 1, progress: Progress = lambda done, total, loss: None
    ) -> Predictions:
        """Predictions in the order of `texts`.

        By default one text at a time, as the server sees single requests: dynamic int8 scales are taken over
        a whole batch, so a larger `batch` changes the numbers a little.
        """
        rows = [self.encoder.encode(text) for text in texts]
        found = Predictions(
            np.empty((len(rows), len(TASKS)), dtype=np.float32),
            np.empty(len(rows), dtype=np.float32),
            np.empty((len(rows), EMBEDDING_DIM), dtype=np.float32),
        )
        done = 0
        by_length: dict[int, list[int]] = {}
        for index, row in enumerate(rows):
            by_length.setdefault(len(row.input_ids), []).append(index)
        for indices in by_length.values():
            for start in range(0, len(indices), batch):
                part = indices[start : start + batch]
                predictions = self.run(
                    np.stack([rows[index].input_ids for index in part]),
                    np.stack([rows[index].attention_mask for index in part]),
                )
                found.probabilities[part] = predictions.probabilities
                found.complexity[part] = predictions.complexity
                found.embedding[part] = predictions.embedding
                done += len(part)
                progress(done, len(rows), math.nan)
        return found
