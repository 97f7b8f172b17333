"""One encoder, three heads: task, complexity, and which model will succeed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from router_backend.contract import TASKS

_COMPLEXITY_HIDDEN = 96


@dataclass(slots=True)
class HeadOutputs:
    """Logits: tasks [batch, 12], complexity [batch], success [batch, models]; the teachers' embedding, as far as it is read off."""

    tasks: Tensor
    complexity: Tensor
    success: Tensor
    teacher: Tensor


class Heads(nn.Module):
    """Heads on the pooled sentence embedding [batch, hidden].

    Args:
        teacher: length of the teachers' embeddings that a student imitates; training alone needs it, and the graph leaves it out.
    """

    def __init__(self, hidden: int, models: int, dropout: float = 0.1, teacher: int = 0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(hidden)
        self.tasks = nn.Linear(hidden, len(TASKS))
        self.complexity = nn.Sequential(
            nn.Linear(hidden, _COMPLEXITY_HIDDEN), nn.GELU(), nn.Linear(_COMPLEXITY_HIDDEN, 1)
        )
        self.success = nn.Linear(hidden, models)
        self.teacher = nn.Linear(hidden, teacher) if teacher else None

    def forward(self, pooled: Tensor) -> HeadOutputs:
        features = self.dropout(self.norm(pooled))
        imitated = pooled[:, :0] if self.teacher is None else self.teacher(pooled)
        return HeadOutputs(
            self.tasks(features), self.complexity(features).squeeze(-1), self.success(features), imitated
        )


class Classifier(nn.Module):
    """Encoder and heads; `pool` is the mean over tokens, as E5 was trained.

    An encoder that pools tokens itself gives `weights` beside its states: how many tokens each of its positions holds.
    """

    def __init__(self, encoder: nn.Module, heads: Heads) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = heads

    def pool(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Mean of the token states, FP32 [batch, hidden]."""
        output = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        states = output.last_hidden_state.float()
        weights = getattr(output, "weights", attention_mask).unsqueeze(-1).to(states.dtype)
        return torch.as_tensor((states * weights).sum(1) / weights.sum(1))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, HeadOutputs]:
        pooled = self.pool(input_ids, attention_mask)
        return pooled, self.heads(pooled)


@dataclass(frozen=True, slots=True)
class LossWeights:
    """How much each task of the multi-task loss counts."""

    tasks: float = 1.0
    complexity: float = 1.0
    success: float = 2.0
    label_smoothing: float = 0.05
    teacher_tasks: float = 0.0
    teacher_complexity: float = 0.4
    teacher_embedding: float = 2.0
    consistency: float = 1.0
    # Logits by which each sentence on the form of the answer raises the complexity.
    demand: float = 0.25


@dataclass(slots=True)
class Lessons:
    """What teachers say of each row, averaged over them: probabilities [rows, 12], complexity [rows], embeddings [rows, n]."""

    tasks: Tensor
    complexity: Tensor
    embedding: Tensor


def raised(difficulty: Tensor, demands: Tensor, weights: LossWeights) -> Tensor:
    """`difficulty` in [0, 1] (NaN stays), FP32 [batch], harder by so many `demands` on the form of the answer, FP32 [batch].

    What benchmarks of different scales have in common: each further demand is one more that an answer can miss.
    """
    if not weights.demand:
        return difficulty
    return torch.where(demands > 0, torch.sigmoid(torch.logit(difficulty, 0.01) + weights.demand * demands), difficulty)


def imitation_loss(outputs: HeadOutputs, lessons: Lessons, difficulty: Tensor, weights: LossWeights) -> Tensor:
    """How far a student is from its teachers, mean over the rows.

    Tasks: cross-entropy with the teachers' probabilities. Complexity: binary cross-entropy, where no difficulty is known.
    Embedding: squared distance; the embeddings of an artifact have a mean squared length of one.

    Args:
        lessons: of these rows.
        difficulty: FP32 [batch], NaN where unknown.
    """
    tasks = -(lessons.tasks * functional.log_softmax(outputs.tasks, dim=-1)).sum(dim=1)
    complexity = functional.binary_cross_entropy_with_logits(outputs.complexity, lessons.complexity, reduction="none")
    embedding = ((outputs.teacher - lessons.embedding) ** 2).sum(dim=1)
    return (
        weights.teacher_tasks * tasks
        + weights.teacher_complexity * complexity * difficulty.isnan()
        + weights.teacher_embedding * embedding
    ).mean()


def consistency_loss(tasks: Tensor, pooled: Tensor, twice: Tensor) -> Tensor:
    """How far the answers to two forms of one request are apart, mean over the pairs.

    Tasks: the mean of both Kullback-Leibler divergences (Liang et al., "R-Drop", 2021, equation 3). Embedding: one minus the cosine.

    Args:
        tasks: logits, FP32 [batch, 12].
        pooled: FP32 [batch, hidden].
        twice: INT64 [pairs], rows whose second form is among the last rows of the batch, in the same order.
    """
    second = slice(len(tasks) - len(twice), None)
    one, other = functional.log_softmax(tasks[twice], -1), functional.log_softmax(tasks[second], -1)
    apart = ((one.exp() - other.exp()) * (one - other)).sum(dim=1) / 2
    return (apart + 1 - functional.cosine_similarity(pooled[twice], pooled[second])).mean()


def multi_task_loss(
    outputs: HeadOutputs, tasks: Tensor, difficulty: Tensor, success: Tensor, weights: LossWeights
) -> Tensor:
    """Sum of the losses of the labels that are there, over the number of rows.

    Task: cross-entropy. Complexity and success: binary cross-entropy with soft targets in [0, 1]; success is
    averaged over the models whose answer to the row is known.

    Args:
        tasks: INT64 [batch], -1 where unknown.
        difficulty: FP32 [batch], NaN where unknown.
        success: FP32 [batch, models], NaN where unknown.
    """
    total = outputs.tasks.new_zeros(())
    labelled = tasks >= 0
    if labelled.any():
        total = total + weights.tasks * functional.cross_entropy(
            outputs.tasks[labelled], tasks[labelled], reduction="sum", label_smoothing=weights.label_smoothing
        )
    rated = ~difficulty.isnan()
    if rated.any():
        total = total + weights.complexity * functional.binary_cross_entropy_with_logits(
            outputs.complexity[rated], difficulty[rated], reduction="sum"
        )
    known = ~success.isnan()
    answered = known.any(dim=1)
    if answered.any():
        losses = functional.binary_cross_entropy_with_logits(
            outputs.success[answered], success[answered].nan_to_num(), reduction="none"
        )
        mask = known[answered]
        total = total + weights.success * ((losses * mask).sum(1) / mask.sum(1)).sum()
    return total / max(len(tasks), 1)
