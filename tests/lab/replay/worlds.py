"""A small world in which the right model can be read off the context."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from router_backend.bandits.context import CONTEXT_DIM
from router_backend.contract import EMBEDDING_DIM
from router_backend.lab.replay.datasets import RoutingData
from router_backend.lab.replay.encode import Contexts

MODELS = ("small", "medium", "large")


def make_world(rows: int = 600, seed: int = 0, train: bool = True) -> tuple[RoutingData, Contexts]:
    """Three models; `small` is right on easy prompts, `large` on nearly all, and costs twenty times as much."""
    rng = np.random.default_rng(seed)
    context = np.zeros((rows, CONTEXT_DIM), np.float32)
    context[:, :8] = rng.normal(size=(rows, 8))
    tasks = rng.integers(0, 3, rows)
    context[np.arange(rows), EMBEDDING_DIM + tasks] = 1.0
    context[:, -4] = 1 / (1 + np.exp(-context[:, 0]))
    hard = context[:, 0].astype(float)
    skill = np.array([-0.5, 0.3, 2.5])
    chance = 1 / (1 + np.exp(-3 * (skill[None, :] - hard[:, None])))
    quality = (rng.random((rows, 3)) < chance).astype(float)
    cost = np.array([0.0001, 0.0004, 0.002]) * rng.uniform(0.5, 1.5, (rows, 3))
    labels = np.array([f"task{task}" for task in tasks], object)
    marked = (np.arange(rows) % 2 == 0) if train else np.zeros(rows, bool)
    prompts = np.array([f"prompt {i}" for i in range(rows)], object)
    data = RoutingData("world", MODELS, prompts, labels, labels, quality, cost, marked)
    return data, Contexts(context, np.full(rows, 20), 1)


def write_csv(data: RoutingData, path: Path, split: bool = True) -> Path:
    """The world as a file that `replay` reads."""
    rng = np.random.default_rng(1)
    hard = ["simple", "basic", "plain", "intricate", "subtle", "deep"]
    rank = np.argsort(np.argsort(-data.quality.mean(1))) * len(hard) // len(data)
    frame = pd.DataFrame(
        {"prompt": [f"a {hard[r]} question number {i} about {rng.integers(9)}" for i, r in enumerate(rank)]}
    )
    frame["task"] = data.tasks
    for arm, model in enumerate(data.models):
        frame[f"{model}__score"], frame[f"{model}__cost"] = data.quality[:, arm], data.cost[:, arm]
    if split:
        frame["split"] = np.where(data.train, "train", "eval")
    frame.to_csv(path, index=False)
    return path
