"""Teachers are artifacts: what they say of each prompt is computed once and kept beside the student."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from classifier_training.model import Lessons
from router_backend.classifier.artifact import Artifact, Progress

LESSONS_FILE = "lessons.npz"


def learn_from(folders: Sequence[Path], texts: Sequence[str], progress: Progress, cache: Path | None = None) -> Lessons:
    """Probabilities and complexity averaged over the teachers, their embeddings side by side.

    Args:
        folders: artifacts; where the float32 file lies beside, it is not needed: int8 is near enough to teach.
        cache: kept here, and read again where teachers and texts are the same.
    """
    teachers = [Artifact(folder) for folder in folders]
    digest = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass"))
    digest.update(repr([teacher.metadata.embedding_space for teacher in teachers]).encode())
    if cache is not None and cache.is_file():
        with np.load(cache) as kept:
            if str(kept["digest"]) == digest.hexdigest():
                return Lessons(*(torch.from_numpy(kept[name]) for name in ("tasks", "complexity", "embedding")))
    said = [teacher.predict(texts, progress=progress) for teacher in teachers]
    tasks = np.mean([each.probabilities for each in said], axis=0, dtype=np.float32)
    complexity = np.mean([each.complexity for each in said], axis=0, dtype=np.float32)
    # Of equal weight: each has a mean squared length of about one, and so has the whole.
    embedding = np.concatenate([each.embedding for each in said], axis=1) / np.float32(np.sqrt(len(said)))
    if cache is not None:
        np.savez(cache, digest=digest.hexdigest(), tasks=tasks, complexity=complexity, embedding=embedding)
    return Lessons(torch.from_numpy(tasks), torch.from_numpy(complexity), torch.from_numpy(embedding))
