"""Rows of several kinds in one table: each label may be missing, and a loss ignores what is missing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_backend.user_files import DataError

HELD_OUT_PERCENT = 8
CALIBRATION_PERCENT = 4
_SPLIT_SALT = "llm-router split:"


@dataclass(slots=True)
class Examples:
    """n prompts with whatever is known about them.

    Attributes:
        texts: prompts as the user wrote them.
        tasks: INT64 [n], index into `contract.TASKS`, or -1.
        sources: where each came from.
        languages: "en", "ja", or "".
        difficulty: FP32 [n] in [0, 1], or NaN.
        success: FP32 [n, models] in [0, 1], or NaN where a model's answer is not known.
        models: names of `success`' columns.
    """

    texts: list[str]
    tasks: NDArray[np.int64]
    sources: NDArray[np.str_]
    languages: NDArray[np.str_]
    difficulty: NDArray[np.float32]
    success: NDArray[np.float32]
    models: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.texts)

    def select(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Examples:
        """The rows given by a mask or by indices."""
        indices = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        return Examples(
            [self.texts[index] for index in indices],
            self.tasks[indices],
            self.sources[indices],
            self.languages[indices],
            self.difficulty[indices],
            self.success[indices],
            self.models,
        )

    @staticmethod
    def join(parts: Sequence[Examples]) -> Examples:
        """All rows of `parts`; models of the same name share a column."""
        if not parts:
            raise DataError("no data given: name at least one file")
        models = tuple(dict.fromkeys(model for part in parts for model in part.models))
        column = {model: index for index, model in enumerate(models)}
        success = np.full((sum(len(part) for part in parts), len(models)), np.nan, dtype=np.float32)
        row = 0
        for part in parts:
            if part.models:
                success[row : row + len(part), [column[model] for model in part.models]] = part.success
            row += len(part)
        return Examples(
            [text for part in parts for text in part.texts],
            np.concatenate([part.tasks for part in parts]),
            np.concatenate([part.sources for part in parts]),
            np.concatenate([part.languages for part in parts]),
            np.concatenate([part.difficulty for part in parts]),
            success,
            models,
        )

    def splits(self) -> NDArray[np.str_]:
        """ "train", "calibration" or "test" of each row, by a hash of its text: the same on every run and machine."""
        percent = np.array([_percent(text) for text in self.texts])
        return np.where(
            percent < HELD_OUT_PERCENT,
            "test",
            np.where(percent < HELD_OUT_PERCENT + CALIBRATION_PERCENT, "calibration", "train"),
        )

    def balance(self, cap: int, seed: int, routing_cap: int | None = None) -> Examples:
        """At most `cap` rows for each source and task, drawn at random, in their old order.

        Args:
            routing_cap: another limit for each source of rows without a task, which is what routing records are.
        """
        rng = np.random.default_rng(seed)
        groups: dict[tuple[str, int], list[int]] = {}
        for index, key in enumerate(zip(self.sources.tolist(), self.tasks.tolist(), strict=True)):
            groups.setdefault(key, []).append(index)
        kept: list[int] = []
        for key in sorted(groups):
            rows = groups[key]
            limit = routing_cap if routing_cap is not None and key[1] < 0 else cap
            kept.extend(rows if len(rows) <= limit else rng.choice(rows, limit, replace=False).tolist())
        return self.select(np.array(sorted(kept), dtype=np.int64))

    def repeat(self, prefix: str, times: int) -> Examples:
        """The rows whose source starts with `prefix` stand `times` times among the others."""
        rows = np.flatnonzero(np.char.startswith(self.sources, prefix))
        return self.select(np.concatenate([np.arange(len(self)), np.tile(rows, max(0, times - 1))]))


def _percent(text: str) -> int:
    # Salted, or it would be correlated with the split of the routing data, which hashes the text as well.
    return int.from_bytes(hashlib.sha256((_SPLIT_SALT + text).encode("utf-8", "surrogatepass")).digest()[:8]) % 100
