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
    """Logits: tasks [batch, 12], complexity [batch], success [batch, models]."""

    tasks: Tensor
    complexity: Tensor
    success: Tensor


class Heads(nn.Module):
    """Heads on the pooled sentence embedding [batch, hidden]."""

    def __init__(self, hidden: int, models: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(hidden)
        self.tasks = nn.Linear(hidden, len(TASKS))
        self.complexity = nn.Sequential(
            nn.Linear(hidden, _COMPLEXITY_HIDDEN), nn.GELU(), nn.Linear(_COMPLEXITY_HIDDEN, 1)
        )
        self.success = nn.Linear(hidden, models)

    def forward(self, pooled: Tensor) -> HeadOutputs:
        features = self.dropout(self.norm(pooled))
        return HeadOutputs(self.tasks(features), self.complexity(features).squeeze(-1), self.success(features))


class Classifier(nn.Module):
    """Encoder and heads; `pool` is the mean over tokens, as E5 was trained."""

    def __init__(self, encoder: nn.Module, heads: Heads) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = heads

    def pool(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Mean of the token states, FP32 [batch, hidden]."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state.float()
        weights = attention_mask.unsqueeze(-1).to(states.dtype)
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
