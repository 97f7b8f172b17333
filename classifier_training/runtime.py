"""An artifact as it is served: onnxruntime on one thread and the tokenizer beside the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from classifier_training.text import batches, encode
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
    bucket_length,
    check_artifact,
)

FloatArray = NDArray[np.float32]
_PAD_TOKEN = "<pad>"


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
        self.metadata: ArtifactMetadata = check_artifact(
            folder, self.session.get_modelmeta().custom_metadata_map
        )
        self.tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        self.pad = self.tokenizer.token_to_id(_PAD_TOKEN) or 0

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids within the artifact's budget."""
        return encode(self.tokenizer, texts, self.metadata.prefix, self.metadata.max_tokens)

    def run(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Predictions:
        """One batch of token ids, INT64 [batch, tokens]."""
        probabilities, complexity, embedding = self.session.run(
            [TASK_PROBABILITIES, COMPLEXITY, EMBEDDING], {INPUT_IDS: ids, ATTENTION_MASK: mask}
        )
        return Predictions(probabilities, complexity[:, 0], embedding)

    def predict(self, texts: Sequence[str], batch_tokens: int = 1) -> Predictions:
        """Predictions in the order of `texts`.

        By default one text at a time, padded to its bucket, as the server sees single requests: dynamic int8 scales are taken over the whole
        batch, so that a batch changes the numbers a little.
        """
        rows = self.encode(texts)
        found = Predictions(
            np.empty((len(rows), len(TASKS)), dtype=np.float32),
            np.empty(len(rows), dtype=np.float32),
            np.empty((len(rows), EMBEDDING_DIM), dtype=np.float32),
        )
        for batch in batches([bucket_length(len(row)) for row in rows], batch_tokens):
            length = max(bucket_length(len(rows[index])) for index in batch)
            ids = np.full((len(batch), length), self.pad, dtype=np.int64)
            mask = np.zeros_like(ids)
            for position, index in enumerate(batch):
                ids[position, : len(rows[index])] = rows[index]
                mask[position, : len(rows[index])] = 1
            part = self.run(ids, mask)
            found.probabilities[batch] = part.probabilities
            found.complexity[batch] = part.complexity
            found.embedding[batch] = part.embedding
        return found
