"""Means of weights: over the last steps of a training, and over several trainings that began at the same weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from classifier_training.encoders.readback import read_encoder, read_heads
from classifier_training.training.workers import TrainingError
from router_backend.contract import MODEL_FILE

# Kept beside the artifact: a run with the same options goes on from it, or only exports again.
CHECKPOINT_FILE = "checkpoint.pt"


@dataclass(slots=True)
class WeightMean:
    """Running mean of the weights that a model is trained in."""

    count: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)

    @torch.no_grad()
    def add(self, model: nn.Module) -> None:
        self.count += 1
        for name, value in model.named_parameters():
            if value.requires_grad:
                kept = self.weights.get(name)
                self.weights[name] = value.detach().clone() if kept is None else kept.lerp_(value, 1 / self.count)

    def give(self, model: nn.Module) -> None:
        """Load the mean into `model`, where there is one."""
        model.load_state_dict(self.weights, strict=False)


def imitates(name: str) -> bool:
    """Whether weights are those of the head that imitates teachers: two trainings may have other teachers, or none."""
    return name.startswith("heads.teacher")


def average_with(model: nn.Module, folders: Sequence[Path]) -> None:
    """Load into `model` the mean of its weights and those of earlier trainings, each of equal weight.

    Wortsman et al., "Model soups" (2022): it needs trainings that went on from the same weights. The head that imitates
    teachers stays the model's own where one of them had other teachers, or none.

    Raises:
        TrainingError: a folder with other sizes, or weights of another model.
    """
    own = model.state_dict()
    for number, folder in enumerate(folders, 2):
        weights = _weights(folder)
        for name, value in own.items():
            if not value.is_floating_point():
                continue
            if name not in weights or weights[name].shape != value.shape:
                if imitates(name):
                    continue
                raise TrainingError(
                    f"{folder} can't be averaged with: its '{name}' is missing or of another size; take trainings with the same start and --routing files"
                )
            own[name] = value.lerp(weights[name], 1 / number)
    model.load_state_dict(own)


def _weights(folder: Path) -> dict[str, Tensor]:
    """Of a folder's checkpoint, or read back from its artifact. Names are those of `Classifier`."""
    path = folder / CHECKPOINT_FILE
    if path.is_file():
        state = torch.load(path, weights_only=True, map_location="cpu")
        return {**state["model"], **state.get("mean", {})}
    encoder = read_encoder(folder / MODEL_FILE).weights
    return {f"encoder.{name}": value for name, value in encoder.items()} | {
        f"heads.{name}": value for name, value in read_heads(folder / MODEL_FILE).items()
    }
