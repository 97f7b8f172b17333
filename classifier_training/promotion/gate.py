"""What a new artifact must show before it is served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from classifier_training.data import Examples
from classifier_training.data.files import Columns, held_out_corpus, load_prompts
from classifier_training.evaluation.scores import task_scores
from classifier_training.promotion.errors import PromotionError
from router_backend.classifier.artifact import Artifact
from router_backend.contract import TASKS


@dataclass(frozen=True, slots=True)
class GateResult:
    """Accuracy on the gate set.

    Attributes:
        current: of the served artifact; where the tasks are others, of always naming the most frequent one.
    """

    rows: int
    current: float
    candidate: float
    compared: bool = True

    def __str__(self) -> str:
        before = (
            "before"
            if self.compared
            else "other tasks than the served artifact's, so not compared; the most frequent one"
        )
        return f"accuracy {self.candidate:.3f} on {self.rows} gate prompts ({before}: {self.current:.3f})"


def gate_rows(patterns: Sequence[str], columns: Columns) -> Examples:
    """The gate set: `patterns`, or the project's held-out corpus.

    Raises:
        DataError: no such file.
        PromotionError: there is no gate set for tasks of one's own.
    """
    if not patterns and columns.known != TASKS:
        raise PromotionError(
            f"the artifact's tasks are {', '.join(columns.known)}: the held-out corpus has no such labels, so nothing can be measured;"
            " name prompts with these labels with --gate"
        )
    return load_prompts(patterns, columns) if patterns else load_prompts(held_out_corpus())


def check_contract(candidate: Artifact, current: Artifact) -> None:
    """Refuse what the running server can't serve.

    Raises:
        PromotionError: another tokenizer, prefix or token budget: the tokenizer model serves one of them for all requests.
    """
    new, old = candidate.metadata, current.metadata
    if new.tokenizer_sha256 != old.tokenizer_sha256:
        raise PromotionError(
            f"{candidate.folder}: its tokenizer differs from the served one, and requests in flight would be read with"
            " the wrong one; put this artifact into a new model repository and restart the server with it"
        )
    if new.tasks != old.tasks and new.embedding_space == old.embedding_space:
        raise PromotionError(
            f"{candidate.folder}: it has other tasks than the served artifact and the same embedding space, so what was learned with both"
            " would be mixed; make it with `llm-router train --taxonomy`"
        )
    for name in ("prefix", "max_tokens", "contract_version", "embedding_dim"):
        if getattr(new, name) != getattr(old, name):
            raise PromotionError(
                f"{candidate.folder}: {name} is {getattr(new, name)!r}, the served artifact has {getattr(old, name)!r};"
                " restart the server with a new model repository instead"
            )


def check_gate(candidate: Artifact, current: Artifact, rows: Examples, tolerance: float) -> GateResult:
    """Compare both on labelled rows; a candidate of other tasks with always naming the most frequent one.

    Raises:
        PromotionError: the candidate's accuracy is lower by more than `tolerance`, or it knows no more than how frequent tasks are.
    """
    names = candidate.metadata.tasks
    if names != current.metadata.tasks:
        result = GateResult(
            len(rows), float(np.bincount(rows.tasks).max() / len(rows)), _accuracy(candidate, rows), compared=False
        )
        if result.candidate <= result.current:
            raise PromotionError(f"{candidate.folder}: {result}; refused, since it must be better than that")
        return result
    result = GateResult(len(rows), _accuracy(current, rows), _accuracy(candidate, rows))
    if result.candidate < result.current - tolerance:
        raise PromotionError(
            f"{candidate.folder}: accuracy {result.candidate:.3f} on {result.rows} gate prompts, the served artifact has"
            f" {result.current:.3f}; refused, since it may fall by {tolerance:.3f} at most (--tolerance)"
        )
    return result


def _accuracy(artifact: Artifact, rows: Examples) -> float:
    return task_scores(artifact.predict(rows.texts).probabilities, rows, artifact.metadata.tasks).accuracy
