"""How often the task stays when the same request is written otherwise."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from classifier_training.data.perturbations import PERTURBATIONS
from router_backend.classifier.artifact import Artifact, Progress

# Ten forms of each prompt are ten more forward passes: this many prompts tell a share to within two points.
PROMPTS = 300


@dataclass(frozen=True, slots=True)
class Stability:
    """Over the prompts that a perturbation changes.

    Attributes:
        unchanged: share of perturbed prompts with the same task.
        always: share of prompts whose task is the same in all of their forms.
        cosine: mean cosine between the embeddings of a prompt and of its forms.
        by_perturbation: `unchanged` of each kind.
    """

    unchanged: float
    always: float
    cosine: float
    by_perturbation: dict[str, float]


def stability(artifact: Artifact, texts: Sequence[str], progress: Progress, prompts: int = PROMPTS) -> Stability:
    """Measure on at most `prompts` of `texts`, spread evenly; the same texts give the same perturbations."""
    texts = [texts[index] for index in np.unique(np.linspace(0, len(texts) - 1, min(prompts, len(texts))).astype(int))]
    plain = artifact.predict(texts)
    tasks = plain.probabilities.argmax(axis=1)
    always = np.ones(len(texts), dtype=bool)
    same: dict[str, float] = {}
    cosines, kept = [], []
    for number, (name, change) in enumerate(PERTURBATIONS.items(), 1):
        forms = [
            change(text, np.random.default_rng(zlib.crc32(f"{name}:{text}".encode("utf-8", "replace"))))
            for text in texts
        ]
        changed = np.array([form != text for form, text in zip(forms, texts, strict=True)])
        progress(number, len(PERTURBATIONS), float("nan"))
        if not changed.any():
            continue
        found = artifact.predict([form for form, is_changed in zip(forms, changed, strict=True) if is_changed])
        stays = found.probabilities.argmax(axis=1) == tasks[changed]
        always[np.flatnonzero(changed)[~stays]] = False
        same[name] = float(stays.mean())
        kept.append(stays)
        before, after = plain.embedding[changed], found.embedding
        norms = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
        cosines.append((before * after).sum(axis=1) / np.maximum(norms, 1e-9))
    return Stability(
        float(np.concatenate(kept).mean()), float(always.mean()), float(np.concatenate(cosines).mean()), same
    )
