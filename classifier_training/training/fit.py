"""Full fine-tuning: deterministic by seed, resumable at any step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from classifier_training.data import Examples
from classifier_training.encoders import Encoder
from classifier_training.model import Classifier, Heads, LossWeights, multi_task_loss
from classifier_training.text import batches, encode, pad

Progress = Callable[[int, int, float], None]
_CHECKPOINT_EVERY = 200


class TrainingError(RuntimeError):
    """Training that can't go on; the message says why."""


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How to fit; the same options, data and seed give the same weights on the same machine."""

    epochs: float = 1.0
    encoder_rate: float = 1.5e-4
    head_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.06
    clip: float = 1.0
    batch_tokens: int = 1024
    max_tokens: int = 96
    seed: int = 0
    bfloat16: bool = True
    loss: LossWeights = field(default_factory=LossWeights)


@dataclass(slots=True)
class Targets:
    """Labels of all rows as tensors."""

    tasks: Tensor
    difficulty: Tensor
    success: Tensor

    @staticmethod
    def of(examples: Examples) -> Targets:
        return Targets(
            torch.from_numpy(examples.tasks),
            torch.from_numpy(examples.difficulty),
            torch.from_numpy(examples.success),
        )

    def loss(self, model: Classifier, pooled: Tensor, rows: NDArray[np.int64], weights: LossWeights) -> Tensor:
        index = torch.from_numpy(rows)
        return multi_task_loss(
            model.heads(pooled), self.tasks[index], self.difficulty[index], self.success[index], weights
        )


def new_classifier(encoder: Encoder, models: int, seed: int) -> Classifier:
    """Fresh heads on `encoder`."""
    torch.manual_seed(seed)
    return Classifier(encoder.module, Heads(encoder.hidden, models))


def plan(lengths: list[int], options: FitOptions) -> Iterator[NDArray[np.int64]]:
    """Batches of one epoch after the other, without end."""
    epoch = 0
    while True:
        yield from batches(lengths, options.batch_tokens, np.random.default_rng([options.seed, epoch]))
        epoch += 1


def rate_at(step: int, steps: int, warmup: float) -> float:
    """Linear warm-up, then linear decay to zero, as a factor."""
    rising = max(1, round(steps * warmup))
    return (step + 1) / rising if step < rising else max(0.0, (steps - step) / max(1, steps - rising))


def fit(
    model: Classifier,
    encoder: Encoder,
    examples: Examples,
    options: FitOptions,
    progress: Progress = lambda step, steps, loss: None,
    checkpoint: Path | None = None,
) -> None:
    """Fine-tune `model` in place. The word embeddings stay as they are, so that words without examples keep their place.

    Args:
        progress: called after each step with (step, steps, running loss).
        checkpoint: saved here every few steps; if it exists, training goes on from it.

    Raises:
        TrainingError: the loss is not finite, or the checkpoint is of another run.
    """
    torch.manual_seed(options.seed)
    rows = encode(encoder.tokenizer, examples.texts, encoder.prefix, options.max_tokens)
    lengths = [len(row) for row in rows]
    targets = Targets.of(examples)
    per_epoch = len(batches(lengths, options.batch_tokens, np.random.default_rng([options.seed, 0])))
    steps = max(1, round(options.epochs * per_epoch))
    _freeze(model.encoder)
    optimiser = torch.optim.AdamW(
        [
            {"params": [p for p in model.encoder.parameters() if p.requires_grad], "lr": options.encoder_rate},
            {"params": list(model.heads.parameters()), "lr": options.head_rate},
        ],
        weight_decay=options.weight_decay,
    )
    base_rates = [group["lr"] for group in optimiser.param_groups]
    fingerprint = {"options": asdict(options), "steps": steps, "rows": len(rows)}
    start, running = _resume(checkpoint, model, optimiser, fingerprint), math.nan
    model.train()
    for step, batch in enumerate(plan(lengths, options)):
        if step >= steps:
            break
        if step < start:
            continue
        for group, rate in zip(optimiser.param_groups, base_rates, strict=True):
            group["lr"] = rate * rate_at(step, steps, options.warmup)
        ids, mask = pad([rows[index] for index in batch], encoder.pad)
        with torch.autocast("cpu", torch.bfloat16, enabled=options.bfloat16):
            pooled = model.pool(torch.from_numpy(ids), torch.from_numpy(mask))
        loss = targets.loss(model, pooled, batch, options.loss)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(f"the loss became {value} at step {step}; use a lower learning rate")
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), options.clip)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        running = value if math.isnan(running) else 0.98 * running + 0.02 * value
        progress(step + 1, steps, running)
        if checkpoint is not None and ((step + 1) % _CHECKPOINT_EVERY == 0 or step + 1 == steps):
            _save(checkpoint, model, optimiser, step + 1, fingerprint)
    model.eval()


def _freeze(encoder: nn.Module) -> None:
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_("word_embeddings" not in name)
    for module in encoder.modules():
        # Dropout costs a tenth of a CPU step and gains nothing within an epoch or two.
        if isinstance(module, nn.Dropout):
            module.p = 0.0


def _save(
    path: Path, model: Classifier, optimiser: torch.optim.Optimizer, step: int, fingerprint: dict[str, object]
) -> None:
    state = {
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "step": step,
        "fingerprint": fingerprint,
        "random": torch.get_rng_state(),
    }
    partial = path.with_suffix(".part")
    torch.save(state, partial)
    partial.replace(path)


def _resume(
    path: Path | None, model: Classifier, optimiser: torch.optim.Optimizer, fingerprint: dict[str, object]
) -> int:
    if path is None or not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    if state["fingerprint"] != fingerprint:
        raise TrainingError(f"{path} belongs to a run with other options or data; delete it or use another --out")
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    torch.set_rng_state(state["random"])
    return int(state["step"])
