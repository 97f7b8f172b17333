"""Recorded answers: one row a prompt, the score and the cost of every model's answer to it (CSV or Parquet).

Columns: `prompt`, `task`, and for each model `<model>__score` (0..1) and `<model>__cost` (USD). Optional: `category` (a finer
task), `split` (`train` or `eval`) and `<model>__out_tokens`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCORE, COST = "__score", "__cost"


class DatasetError(ValueError):
    """A file that can't be replayed; says which column or row, and what to do."""


@dataclass(frozen=True, slots=True)
class RoutingData:
    """Full information: what each of the models answered, for every prompt."""

    name: str
    models: tuple[str, ...]
    prompts: NDArray[np.object_]  # [rows] str
    tasks: NDArray[np.object_]  # [rows] str
    groups: NDArray[np.object_]  # [rows] str: `category` where the file has it, else `task`
    quality: NDArray[np.float64]  # [rows, models], 0..1
    cost: NDArray[np.float64]  # [rows, models], USD
    train: NDArray[np.bool_]  # [rows]: may be learned from before the replay
    dropped: int = 0  # rows without a score or cost of every model

    def __len__(self) -> int:
        return len(self.prompts)

    def rows(self, chosen: NDArray[Any]) -> RoutingData:
        """The rows of a mask or of an index array, in that order."""
        return replace(
            self,
            prompts=self.prompts[chosen],
            tasks=self.tasks[chosen],
            groups=self.groups[chosen],
            quality=self.quality[chosen],
            cost=self.cost[chosen],
            train=self.train[chosen],
        )


def load_routing_data(path: Path, models: Sequence[str] | None = None) -> RoutingData:
    """Read a file; without `models`, all that it has. Rows that lack a score or a cost of any of them are dropped.

    Without a `split` column no row is marked `train`: the whole file is evaluated.

    Raises:
        DatasetError: an unreadable file, a missing column, an unknown model, or values out of range.
    """
    import pandas as pd

    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: can't be read as CSV or Parquet ({error})") from error
    known = [column.removesuffix(SCORE) for column in frame.columns if column.endswith(SCORE)]
    known = [model for model in known if f"{model}{COST}" in frame.columns]
    names = tuple(models) if models else tuple(known)
    if "prompt" not in frame.columns or not known:
        raise DatasetError(f"{path}: needs the columns prompt, task, <model>{SCORE} and <model>{COST}")
    if unknown := [name for name in names if name not in known]:
        raise DatasetError(f"{path}: no scores and costs of {unknown[0]!r}; the file has {', '.join(known)}")
    if len(names) < 2 or len(set(names)) < len(names):
        raise DatasetError(f"{path}: a replay needs at least two different models")
    quality = frame[[f"{name}{SCORE}" for name in names]].to_numpy(np.float64)
    cost = frame[[f"{name}{COST}" for name in names]].to_numpy(np.float64)
    complete = np.isfinite(quality).all(1) & np.isfinite(cost).all(1) & frame["prompt"].notna().to_numpy()
    if not complete.any():
        raise DatasetError(f"{path}: no row has scores and costs of all of {', '.join(names)}; choose other --models")
    if quality[complete].min() < 0 or quality[complete].max() > 1 or cost[complete].min() < 0:
        raise DatasetError(f"{path}: scores must lie in 0..1 and costs must not be negative")
    tasks = _labels(frame, "task", "")
    split = frame["split"].to_numpy() if "split" in frame.columns else np.full(len(frame), "eval")
    if strange := sorted(set(map(str, split)) - {"train", "eval"}):
        raise DatasetError(f"{path}: `split` is train or eval, found {strange[0]!r}")
    whole = RoutingData(
        name=path.name.split(".")[0],
        models=names,
        prompts=frame["prompt"].astype(str).to_numpy(object),
        tasks=tasks,
        groups=_labels(frame, "category", tasks),
        quality=quality,
        cost=cost,
        train=np.asarray(split == "train"),
        dropped=int((~complete).sum()),
    )
    return whole.rows(complete)


def _labels(frame: Any, column: str, default: str | NDArray[np.object_]) -> NDArray[np.object_]:
    labels = np.empty(len(frame), object)
    labels[:] = frame[column].fillna("").astype(str) if column in frame.columns else default
    return labels
