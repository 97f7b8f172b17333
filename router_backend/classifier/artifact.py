"""The one reader of the classifier's artifact: its versions, its metadata, and its outputs for texts.

An artifact is a folder that fulfils `router_backend.contract`; a model repository holds one for each version.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_backend.classifier.encoding import PromptEncoder
from router_backend.contract import (
    ATTENTION_MASK,
    COMPLEXITY,
    EMBEDDING,
    EMBEDDING_DIM,
    INPUT_IDS,
    MODEL_FILE,
    TASK_PLACES,
    TASK_PROBABILITIES,
    TOKENIZER_FILE,
    ArtifactMetadata,
    ContractError,
    check_artifact,
)

FloatArray = NDArray[np.float32]
Progress = Callable[[int, int, float], None]


def versions(classifier: Path) -> list[int]:
    """Numbers of the versions that Triton can serve, ascending.

    Triton ignores folders whose name is no number or begins with a zero; a folder without the model's file is being
    written.
    """
    folders = classifier.iterdir() if classifier.is_dir() else iter(())
    return sorted(
        int(folder.name)
        for folder in folders
        if folder.name.isdecimal()
        and folder.name.isascii()
        and folder.name[0] != "0"
        and (folder / MODEL_FILE).is_file()
    )


def newest_artifact(classifier: Path) -> Path:
    """Folder of the highest version, the one that `version_policy: latest` serves.

    Raises:
        ContractError: there is none.
    """
    numbers = versions(classifier)
    if not numbers:
        raise ContractError(f"{classifier}: no version folder with {MODEL_FILE}; make one with `llm-router train`")
    return classifier / str(numbers[-1])


def artifact_metadata(folder: Path) -> ArtifactMetadata:
    """The checked metadata of an artifact, read without preparing its graph for use.

    Raises:
        ContractError: it is missing, incomplete or of another contract.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return check_artifact(folder, _session(folder / MODEL_FILE, options).get_modelmeta().custom_metadata_map)


@dataclass(frozen=True, slots=True)
class Predictions:
    """Of n texts: probabilities FP32 [n, TASK_PLACES], complexity FP32 [n], embedding FP32 [n, 128]."""

    probabilities: FloatArray
    complexity: FloatArray
    embedding: FloatArray


class Artifact:
    """An artifact folder, checked against the contract, with the session options that it is served with."""

    def __init__(self, folder: Path, threads: int = 1, model_file: str = MODEL_FILE) -> None:
        """Load it.

        Raises:
            ContractError: it is missing, incomplete or of another contract.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.folder = folder
        self.session = _session(folder / model_file, options)
        self.metadata: ArtifactMetadata = check_artifact(folder, self.session.get_modelmeta().custom_metadata_map)
        self.encoder = PromptEncoder(folder / TOKENIZER_FILE, self.metadata.prefix, self.metadata.max_tokens)

    def run(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Predictions:
        """One batch of token ids, INT64 [batch, tokens]. Threads may share it."""
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
            np.empty((len(rows), TASK_PLACES), dtype=np.float32),
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


def _session(path: Path, options: Any) -> Any:
    import onnxruntime

    if not path.is_file():
        raise ContractError(f"{path}: missing; make an artifact with `llm-router train` or name another one")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class of its own for each way in which a file can be broken
        raise ContractError(f"{path}: can't be loaded ({error}); copy the whole artifact again") from error
