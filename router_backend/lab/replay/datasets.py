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

from router_backend.user_files import DataError as DatasetError
from router_backend.user_files import Table, read_table

SCORE, COST = "__score", "__cost"


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
    table = read_table(path)
    known = [column.removesuffix(SCORE) for column in table.columns if column.endswith(SCORE)]
    known = [model for model in known if f"{model}{COST}" in table.columns]
    names = tuple(models) if models else tuple(known)
    if "prompt" not in table.columns or not known:
        raise DatasetError(f"{path}: needs the columns prompt, task, <model>{SCORE} and <model>{COST}")
    if unknown := [name for name in names if name not in known]:
        raise DatasetError(f"{path}: no scores and costs of {unknown[0]!r}; the file has {', '.join(known)}")
    if len(names) < 2 or len(set(names)) < len(names):
        raise DatasetError(f"{path}: a replay needs at least two different models")
    quality = _numbers(table, [f"{name}{SCORE}" for name in names], 1.0, "scores must lie in 0..1")
    cost = _numbers(table, [f"{name}{COST}" for name in names], np.inf, "costs must not be negative")
    prompts = np.array(table.labels("prompt"), object)
    complete = ~np.isnan(quality).any(1) & ~np.isnan(cost).any(1) & (prompts != "")
    if not complete.any():
        raise DatasetError(f"{path}: no row has scores and costs of all of {', '.join(names)}; choose other --models")
    tasks = np.array(table.labels("task"), object)
    split = np.array(table.labels("split", "" if "split" in table.columns else "eval"), object)
    if (strange := np.flatnonzero((split != "train") & (split != "eval"))).size:
        raise DatasetError(f"{table.where(int(strange[0]))}: `split` is train or eval, found {split[strange[0]]!r}")
    whole = RoutingData(
        name=path.name.split(".")[0],
        models=names,
        prompts=prompts,
        tasks=tasks,
        groups=np.array(table.labels("category"), object) if "category" in table.columns else tasks,
        quality=quality,
        cost=cost,
        train=np.asarray(split == "train"),
        dropped=int((~complete).sum()),
    )
    return whole.rows(complete)


def _numbers(table: Table, columns: Sequence[str], high: float, rule: str) -> NDArray[np.float64]:
    """[rows, columns], NaN where a cell is empty."""
    found = np.column_stack([table.numbers(column) for column in columns])
    outside = np.argwhere((found < 0) | (found > high))
    if len(outside):
        row, column = outside[0]
        raise DatasetError(f"{table.where(int(row))}: {rule}, found {columns[column]} {found[row, column]:g}")
    return found
