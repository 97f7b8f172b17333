"""What a new artifact must show before it is served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from classifier_training.data import Examples
from classifier_training.data.files import Columns, held_out_corpus, load_prompts
from classifier_training.evaluation.scores import task_scores
from classifier_training.promotion.errors import PromotionError
from router_backend.classifier.artifact import Artifact


@dataclass(frozen=True, slots=True)
class GateResult:
    """Accuracy on the gate set."""

    rows: int
    current: float
    candidate: float


def gate_rows(patterns: Sequence[str], columns: Columns) -> Examples:
    """The gate set: `patterns`, or the project's held-out corpus.

    Raises:
        DataError: no such file.
    """
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
    for name in ("prefix", "max_tokens", "contract_version", "tasks", "embedding_dim"):
        if getattr(new, name) != getattr(old, name):
            raise PromotionError(
                f"{candidate.folder}: {name} is {getattr(new, name)!r}, the served artifact has {getattr(old, name)!r};"
                " restart the server with a new model repository instead"
            )


def check_gate(candidate: Artifact, current: Artifact, rows: Examples, tolerance: float) -> GateResult:
    """Compare both on labelled rows.

    Raises:
        PromotionError: the candidate's accuracy is lower by more than `tolerance`.
    """
    accuracy = [
        task_scores(artifact.predict(rows.texts).probabilities, rows).accuracy for artifact in (current, candidate)
    ]
    result = GateResult(len(rows), *accuracy)
    if result.candidate < result.current - tolerance:
        raise PromotionError(
            f"{candidate.folder}: accuracy {result.candidate:.3f} on {result.rows} gate prompts, the served artifact has"
            f" {result.current:.3f}; refused, since it may fall by {tolerance:.3f} at most (--tolerance)"
        )
    return result
