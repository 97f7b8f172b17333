"""Heads on a frozen encoder: the texts are encoded once, then the heads are fitted on the vectors in seconds."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from classifier_training.data import Examples
from classifier_training.model import Classifier
from classifier_training.training.fit import Batch, FitOptions, Progress, Targets, rate_at

_BATCH_ROWS = 256
_EPOCHS = 30


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
            batch = Batch(rows, [], rows[:0])
            loss = targets.loss(model, vectors[torch.from_numpy(rows)], batch, options.loss)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            step += 1
            progress(step, steps, float(loss.detach()))
    model.heads.eval()
