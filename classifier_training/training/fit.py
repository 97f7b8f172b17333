"""Full fine-tuning: deterministic by seed, resumable at any step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from classifier_training.data import Examples
from classifier_training.data.constraints import constrained
from classifier_training.data.perturbations import perturbed
from classifier_training.encoders import Encoder
from classifier_training.model import (
    Classifier,
    Heads,
    Lessons,
    LossWeights,
    consistency_loss,
    imitation_loss,
    multi_task_loss,
    raised,
)
from classifier_training.text import batches, pad, prompt_encoder
from classifier_training.training.averaging import WeightMean
from classifier_training.training.workers import TrainingError, Workers
from router_backend.classifier.encoding import PromptEncoder

Progress = Callable[[int, int, float], None]
_CHECKPOINT_EVERY = 100


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
    # As torch names it; a run that was interrupted may go on on another one.
    device: str = "cpu"
    # Share of the rows that are read in a second form as well in each epoch, with the labels and lessons of the plain one.
    perturbed: float = 0.0
    # Share of these second forms, of labelled rows, that also say what the answer should look like.
    constrained: float = 0.0
    # Share of the steps, the last ones, over which the weights are averaged: Izmailov et al., "Averaging Weights Leads to
    # Wider Optima and Better Generalization" (2018). 0 keeps the last step's.
    average: float = 0.0
    loss: LossWeights = field(default_factory=LossWeights)


class Batch(NamedTuple):
    """Rows, their token ids, and the places whose second form stands behind all others, in this order.

    `demands`, FP32 [rows], says how many sentences on the form of the answer a text has got.
    """

    rows: NDArray[np.int64]
    ids: list[list[int]]
    twice: NDArray[np.int64]
    demands: NDArray[np.float32]


@dataclass(slots=True)
class Targets:
    """Labels of all rows as tensors."""

    tasks: Tensor
    difficulty: Tensor
    success: Tensor
    lessons: Lessons | None = None

    @staticmethod
    def of(examples: Examples, lessons: Lessons | None = None, device: torch.device | None = None) -> Targets:
        if lessons is not None:
            lessons = Lessons(*(said.to(device) for said in (lessons.tasks, lessons.complexity, lessons.embedding)))
        tasks, difficulty, success = (
            torch.from_numpy(label).to(device) for label in (examples.tasks, examples.difficulty, examples.success)
        )
        return Targets(tasks, difficulty, success, lessons)

    def loss(self, model: Classifier, pooled: Tensor, batch: Batch, weights: LossWeights) -> Tensor:
        index = torch.from_numpy(batch.rows).to(self.tasks.device)
        outputs, demands = model.heads(pooled), torch.from_numpy(batch.demands).to(index.device)
        difficulty = raised(self.difficulty[index], demands, weights)
        loss = multi_task_loss(outputs, self.tasks[index], difficulty, self.success[index], weights)
        if len(batch.twice):
            loss = loss + weights.consistency * consistency_loss(
                outputs.tasks, pooled, torch.from_numpy(batch.twice).to(index.device)
            ) * (len(batch.twice) / len(batch.rows))
        if self.lessons is None:
            return loss
        complexity = raised(self.lessons.complexity[index], demands, weights)
        of_rows = Lessons(self.lessons.tasks[index], complexity, self.lessons.embedding[index])
        return loss + imitation_loss(outputs, of_rows, difficulty, weights)


def new_classifier(encoder: Encoder, models: int, seed: int, teacher: int = 0) -> Classifier:
    """Fresh heads on `encoder`; `teacher` is the length of the embeddings that a student imitates."""
    torch.manual_seed(seed)
    return Classifier(encoder.module, Heads(encoder.hidden, models, teacher=teacher))


def plan(encoder: PromptEncoder, examples: Examples, options: FitOptions) -> Iterator[Batch]:
    """Batches, one epoch after the other, without end."""
    texts = examples.texts
    plain = [encoder.ids(text)[0] for text in texts]
    lengths = [len(row) for row in plain]
    # A second form is about as long as the first.
    tokens = round(options.batch_tokens / (1 + options.perturbed))
    for epoch in count():
        rng = np.random.default_rng([options.seed, epoch, 1])
        for rows in batches(lengths, tokens, np.random.default_rng([options.seed, epoch])):
            twice = np.flatnonzero(rng.random(len(rows)) < options.perturbed)
            forms = [_second_form(examples, int(rows[place]), options, rng) for place in twice]
            ids = [*(plain[row] for row in rows), *(encoder.ids(text)[0] for text, _ in forms)]
            demands = np.array([0] * len(rows) + [number for _, number in forms], dtype=np.float32)
            yield Batch(np.concatenate([rows, rows[twice]]), ids, twice, demands)


def _second_form(examples: Examples, row: int, options: FitOptions, rng: np.random.Generator) -> tuple[str, int]:
    """Another form of a row's text, and how many demands on the form of the answer it has got."""
    text = perturbed(examples.texts[row], rng)
    # Not of recorded answers: what a form of the answer would have done to them, nobody knows.
    if examples.tasks[row] >= 0 and options.constrained and rng.random() < options.constrained:
        return constrained(text, rng)
    return text, 0


def share_of(batch: Batch, index: int, count: int) -> Batch:
    """What the process `index` of `count` reads of a batch: each row and its second form stay together."""
    plain = len(batch.rows) - len(batch.twice)
    mine = np.arange(index, plain, count)
    second = np.flatnonzero(np.isin(batch.twice, mine))
    kept = np.concatenate([mine, plain + second])
    twice = np.searchsorted(mine, batch.twice[second])
    return Batch(batch.rows[kept], [batch.ids[row] for row in kept], twice, batch.demands[kept])


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
    lessons: Lessons | None = None,
    workers: Workers | None = None,
) -> None:
    """Fine-tune `model` in place, and give it back on the CPU. The word embeddings stay as they are, so that words without examples keep their place.

    Args:
        progress: called after each step with (step, steps, running loss).
        checkpoint: saved here every few steps; if it exists, training goes on from it.
        lessons: what teachers say of `examples`; `model` is their student then.
        workers: processes that share each batch, and end with the same weights; None: this one alone.

    Raises:
        TrainingError: the loss is not finite, the checkpoint is of another run, or there is no such device.
    """
    workers = workers or Workers(options.device)
    device = workers.device
    torch.manual_seed(options.seed)
    reader = prompt_encoder(encoder.tokenizer, encoder.prefix, options.max_tokens)
    lengths = [len(reader.ids(text)[0]) for text in examples.texts]
    targets = Targets.of(examples, lessons, device)
    tokens = round(options.batch_tokens / (1 + options.perturbed))
    per_epoch = len(batches(lengths, tokens, np.random.default_rng([options.seed, 0])))
    steps = max(1, round(options.epochs * per_epoch)) if options.epochs else 0
    averaged_from = steps - round(options.average * steps)
    _freeze(model.encoder)
    model.to(device)
    optimiser = torch.optim.AdamW(
        [
            {"params": [p for p in model.encoder.parameters() if p.requires_grad], "lr": options.encoder_rate},
            {"params": list(model.heads.parameters()), "lr": options.head_rate},
        ],
        weight_decay=options.weight_decay,
    )
    trained = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    base_rates = [group["lr"] for group in optimiser.param_groups]
    how = {name: value for name, value in asdict(options).items() if name != "device"}
    fingerprint = {"options": how, "steps": steps, "rows": len(lengths)}
    mean = WeightMean()
    start, running = _resume(checkpoint, model, optimiser, mean, fingerprint), math.nan
    model.train()
    for step, batch in enumerate(plan(reader, examples, options)):
        if step >= steps:
            break
        if step < start:
            continue
        for group, rate in zip(optimiser.param_groups, base_rates, strict=True):
            group["lr"] = rate * rate_at(step, steps, options.warmup)
        mine = share_of(batch, workers.index, workers.count)
        value = _backward(model, targets, mine, encoder.pad, options, device) if len(mine.rows) else 0.0
        value = workers.add_up(trained, value, len(mine.rows) / len(batch.rows))
        if not math.isfinite(value):
            raise TrainingError(f"the loss became {value} at step {step}; use a lower learning rate")
        nn.utils.clip_grad_norm_(model.parameters(), options.clip)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if step >= averaged_from:
            mean.add(model)
        running = value if math.isnan(running) else 0.98 * running + 0.02 * value
        progress(step + 1, steps, running)
        if checkpoint is not None and workers.first and ((step + 1) % _CHECKPOINT_EVERY == 0 or step + 1 == steps):
            _save(checkpoint, model, optimiser, mean, step + 1, fingerprint)
    mean.give(model)
    model.cpu().eval()


def _backward(
    model: Classifier, targets: Targets, batch: Batch, padding: int, options: FitOptions, device: torch.device
) -> float:
    """Gradients of the mean loss over the rows of `batch`, and that loss."""
    ids, mask = pad(batch.ids, padding)
    with torch.autocast(device.type, torch.bfloat16, enabled=options.bfloat16):
        pooled = model.pool(torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device))
    loss = targets.loss(model, pooled, batch, options.loss)
    loss.backward()  # type: ignore[no-untyped-call]
    return float(loss.detach())


def _freeze(encoder: nn.Module) -> None:
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_("word_embeddings" not in name)
    for module in encoder.modules():
        # Dropout costs a tenth of a CPU step and gains nothing within an epoch or two.
        if isinstance(module, nn.Dropout):
            module.p = 0.0


def _save(
    path: Path,
    model: Classifier,
    optimiser: torch.optim.Optimizer,
    mean: WeightMean,
    step: int,
    fingerprint: dict[str, object],
) -> None:
    state = {
        "model": model.state_dict(),
        "mean": mean.weights,
        "averaged": mean.count,
        "optimiser": optimiser.state_dict(),
        "step": step,
        "fingerprint": fingerprint,
        "random": torch.get_rng_state(),
    }
    partial = path.with_suffix(".part")
    torch.save(state, partial)
    partial.replace(path)


def _resume(
    path: Path | None,
    model: Classifier,
    optimiser: torch.optim.Optimizer,
    mean: WeightMean,
    fingerprint: dict[str, object],
) -> int:
    if path is None or not path.is_file():
        return 0
    state = torch.load(path, weights_only=True, map_location="cpu")
    if state["fingerprint"] != fingerprint:
        raise TrainingError(f"{path} belongs to a run with other options or data; delete it or use another --out")
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    mean.count, mean.weights = state["averaged"], state["mean"]
    torch.set_rng_state(state["random"])
    return int(state["step"])
