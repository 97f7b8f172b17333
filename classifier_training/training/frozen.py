"""Heads on a frozen encoder: the texts are encoded once, then the heads are fitted on the vectors in seconds."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from classifier_training.data import Examples
from classifier_training.model import Classifier
from classifier_training.training.fit import Batch, FitOptions, Progress, Targets, rate_at

_BATCH_ROWS = 256
_EPOCHS = 30
_SUCCESS_STEPS = 60
_SUCCESS_PENALTY = 1e-2


def fit_heads(
    model: Classifier,
    pooled: NDArray[np.float32],
    examples: Examples,
    options: FitOptions,
    progress: Progress = lambda step, steps, loss: None,
) -> None:
    """Fit `model.heads` in place on pooled embeddings, FP32 [rows, hidden]."""
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    vectors = torch.from_numpy(pooled)
    targets = Targets.of(examples)
    optimiser = torch.optim.AdamW(model.heads.parameters(), lr=options.head_rate, weight_decay=options.weight_decay)
    steps = _EPOCHS * -(-len(examples) // _BATCH_ROWS)
    model.heads.train()
    step = 0
    for _ in range(_EPOCHS):
        order = rng.permutation(len(examples))
        for start in range(0, len(order), _BATCH_ROWS):
            rows = order[start : start + _BATCH_ROWS]
            optimiser.param_groups[0]["lr"] = options.head_rate * rate_at(step, steps, options.warmup)
            batch = Batch(rows, [], rows[:0], np.zeros(len(rows), dtype=np.float32))
            loss = targets.loss(model, vectors[torch.from_numpy(rows)], batch, options.loss)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            step += 1
            progress(step, steps, float(loss.detach()))
    model.heads.eval()


def fit_success(
    model: Classifier, pooled: NDArray[np.float32], success: NDArray[np.float32], penalty: float = _SUCCESS_PENALTY
) -> None:
    """Fit the success head in place, from where it is; the other heads and the norm before it stay.

    Fine-tuning reads few routing rows, since each costs as much as a labelled prompt; a linear head can have them all.

    Args:
        pooled: FP32 [rows, hidden].
        success: FP32 [rows, models] in [0, 1], NaN where unknown.
        penalty: of the squared distance from the head as it is.
    """
    known = ~np.isnan(success)
    if not known.any():
        return
    head = model.heads.success
    with torch.no_grad():
        features = model.heads.norm(torch.from_numpy(pooled))
    start = head.weight.detach().clone()
    targets, mask = torch.from_numpy(np.nan_to_num(success)), torch.from_numpy(known)
    # Each model by the mean over its own rows, so that one with few answers is not forgotten.
    weights = mask / mask.sum(dim=0).clamp(min=1)
    optimiser = torch.optim.LBFGS(list(head.parameters()), max_iter=_SUCCESS_STEPS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        losses = functional.binary_cross_entropy_with_logits(head(features), targets, reduction="none")
        loss = (losses * weights).sum() + penalty * ((head.weight - start) ** 2).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
