"""Teachers are artifacts: what they say of each prompt is computed once and kept beside the student."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from classifier_training.model import Lessons
from router_backend.classifier.artifact import Artifact, Progress
from router_backend.classifier.encoding import PromptEncoder
from router_backend.contract import TOKENIZER_FILE

LESSONS_FILE = "lessons.npz"
_NAMES = ("tasks", "complexity", "embedding")

Arrays = dict[str, NDArray[np.float32]]


def learn_from(
    folders: Sequence[Path],
    texts: Sequence[str],
    progress: Progress,
    cache: Path | None = None,
    max_tokens: int | None = None,
) -> Lessons:
    """Probabilities and complexity averaged over the teachers, their embeddings side by side.

    Args:
        folders: artifacts; where the float32 file lies beside, it is not needed: int8 is near enough to teach.
        cache: kept here; what the same teachers have said of a text before is read again, in a later run with other texts too.
        max_tokens: teachers read no more of a text than their student does; None: as much as they are served with.
    """
    teachers = [_reading(Artifact(folder), max_tokens) for folder in folders]
    who = hashlib.sha256(repr([(each.metadata.embedding_space, max_tokens) for each in teachers]).encode()).hexdigest()
    said = _kept(cache, who)
    names = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32] for text in texts]
    place = {name: row for row, name in enumerate(said["text"].tolist())} if said else {}
    # A text that counts several times is read once.
    missing = {name: text for name, text in zip(names, texts, strict=True) if name not in place}
    if missing:
        new = _lessons(teachers, list(missing.values()), progress)
        said = {key: np.concatenate([said[key], new[key]]) if said else new[key] for key in _NAMES} | {
            "text": np.array([*place, *missing])
        }
        place = {name: row for row, name in enumerate(said["text"].tolist())}
        if cache is not None:
            np.savez(cache, who=who, **said)
    rows = np.array([place[name] for name in names], dtype=np.int64)
    return Lessons(*(torch.from_numpy(said[key][rows]) for key in _NAMES))


def _reading(teacher: Artifact, max_tokens: int | None) -> Artifact:
    if max_tokens is not None and max_tokens < teacher.metadata.max_tokens:
        teacher.encoder = PromptEncoder(teacher.folder / TOKENIZER_FILE, teacher.metadata.prefix, max_tokens)
    return teacher


def _kept(cache: Path | None, who: str) -> Arrays:
    """What is in the file, or nothing where it was written by other teachers."""
    if cache is None or not cache.is_file():
        return {}
    with np.load(cache) as kept:
        if "who" not in kept or str(kept["who"]) != who:
            return {}
        return {key: kept[key] for key in (*_NAMES, "text")}


def _lessons(teachers: Sequence[Artifact], texts: Sequence[str], progress: Progress) -> Arrays:
    said = [teacher.predict(texts, progress=progress) for teacher in teachers]
    # Of equal weight: each embedding has a mean squared length of about one, and so has the whole.
    embedding = np.concatenate([each.embedding for each in said], axis=1) / np.float32(np.sqrt(len(said)))
    return {
        "tasks": np.mean([each.probabilities for each in said], axis=0, dtype=np.float32),
        "complexity": np.mean([each.complexity for each in said], axis=0, dtype=np.float32),
        "embedding": embedding,
    }
