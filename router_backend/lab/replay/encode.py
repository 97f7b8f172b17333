"""Prompts to the bandit's contexts: by the classifier's artifact, as serving does it, or by TF-IDF and SVD as a baseline."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.context import build_context
from router_backend.classifier.artifact import Artifact
from router_backend.contract import EMBEDDING_DIM, MODEL_FILE, TASK_PLACES, TASKS, sha256_of
from router_backend.prompts import describe

Floats = NDArray[np.float32]
Progress = Callable[[int], None]
_CHUNK = 512  # prompts a cache file holds: what an interrupted run has done is kept
_WIDTH = EMBEDDING_DIM + TASK_PLACES + 1


@dataclass(frozen=True, slots=True)
class Contexts:
    """What the classifier and the tokenizer say of each prompt."""

    context: Floats  # [rows, CONTEXT_DIM], the layout of bandits.context
    prompt_tokens: NDArray[np.int64]  # [rows]
    embedding_space: int  # 0: no artifact made them
    tasks: tuple[str, ...] = TASKS  # of the artifact

    @property
    def task_probabilities(self) -> Floats:
        """[rows, TASK_PLACES]"""
        return self.context[:, EMBEDDING_DIM : EMBEDDING_DIM + TASK_PLACES]

    @property
    def complexity(self) -> Floats:
        return self.context[:, EMBEDDING_DIM + TASK_PLACES]

    def rows(self, chosen: NDArray[Any]) -> Contexts:
        return Contexts(self.context[chosen], self.prompt_tokens[chosen], self.embedding_space, self.tasks)


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/llm-router/contexts`, by default under ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llm-router" / "contexts"


def artifact_contexts(
    prompts: Sequence[str],
    artifact: Path,
    cache: Path | None = None,
    workers: int = 1,
    progress: Progress = lambda done: None,
) -> Contexts:
    """Run the artifact on each prompt as on a chat request of one user turn, one single-threaded pass a prompt.

    A prompt is never batched with others: an int8 artifact takes its scales over the batch, and these are the numbers that
    a lone request gets. Outputs are cached by the hashes of the model file and of the prompts. `progress` gets the number of
    prompts done, after each chunk.

    Raises:
        ContractError: no artifact, or one of another contract.
    """
    loaded = Artifact(artifact)

    def run(prompt: str) -> Floats:
        found = loaded.predict([prompt])
        return np.hstack([found.embedding[0], found.probabilities[0], found.complexity])

    folder = cache or cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    model = sha256_of(artifact / MODEL_FILE)
    outputs = np.empty((len(prompts), _WIDTH), np.float32)
    with ThreadPoolExecutor(workers) as pool:  # onnxruntime and tokenizers let go of the interpreter while they work
        for start, chunk in _chunks(prompts):
            file = folder / f"{_hash(model, chunk)}.npy"
            if not file.is_file():
                _write(file, np.stack(list(pool.map(run, chunk))))
            outputs[start : start + len(chunk)] = np.load(file)
            progress(start + len(chunk))
    return _assemble(prompts, outputs, loaded.metadata.embedding_space, loaded.metadata.tasks)


def tfidf_contexts(prompts: Sequence[str], fit_on: NDArray[Any], seed: int = 0) -> Contexts:
    """TF-IDF of words and pairs, SVD to EMBEDDING_DIM, unit length; fitted on the rows `fit_on` alone. No task, no complexity."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = np.asarray(prompts, object)
    words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2, max_features=50_000)
    fitted = words.fit_transform(texts[fit_on])
    svd = TruncatedSVD(min(EMBEDDING_DIM, fitted.shape[1] - 1), random_state=seed).fit(fitted)
    reduced = svd.transform(words.transform(texts))
    reduced /= np.maximum(np.linalg.norm(reduced, axis=1, keepdims=True), 1e-9)
    outputs = np.zeros((len(texts), _WIDTH), np.float32)
    outputs[:, : reduced.shape[1]] = reduced
    return _assemble(list(prompts), outputs, 0)


def _assemble(prompts: Sequence[str], outputs: Floats, space: int, tasks: tuple[str, ...] = TASKS) -> Contexts:
    features = [describe(prompt, [{"role": "user", "content": prompt}]) for prompt in prompts]
    rows = [
        build_context(row[:EMBEDDING_DIM], row[EMBEDDING_DIM:-1], float(row[-1]), f.prompt_tokens, f.japanese, f.code)
        for row, f in zip(outputs, features, strict=True)
    ]
    return Contexts(np.stack(rows), np.array([f.prompt_tokens for f in features]), space, tasks)


def _chunks(prompts: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    return ((start, prompts[start : start + _CHUNK]) for start in range(0, len(prompts), _CHUNK))


def _hash(model: str, chunk: Sequence[str]) -> str:
    digest = hashlib.sha256(model.encode())
    for prompt in chunk:
        text = prompt.encode("utf-8", "replace")
        digest.update(len(text).to_bytes(8, "big") + text)
    return digest.hexdigest()


def _write(file: Path, rows: Floats) -> None:
    """Whole or not at all: another process may read the cache at any time."""
    partial = file.with_suffix(f".{os.getpid()}.partial.npy")
    np.save(partial, rows)
    partial.replace(file)
