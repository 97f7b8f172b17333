"""Leave-one-source-out: train without a source, measure on it. The number that says how new prompts will fare."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import torch
from scipy.stats import spearmanr

from classifier_training.data import DataError, Examples
from classifier_training.encoders import Encoder
from classifier_training.training.fit import FitOptions, Progress, fit, new_classifier
from classifier_training.training.pooling import pool_texts


@dataclass(frozen=True, slots=True)
class LeaveOutOptions:
    """A reduced training, so that one for each group of sources is affordable.

    Attributes:
        sources: which to leave out; empty for all that the measured data has.
        folds: 0 leaves out one source at a time. n > 0 leaves out several at a time, in n groups: cheaper and
            harder than one at a time, since a model misses more.
        cap: training rows for each source and task.
        rows: measured rows for each source.
    """

    sources: tuple[str, ...] = ()
    folds: int = 0
    cap: int = 400
    rows: int = 400
    fit: FitOptions = field(default_factory=lambda: FitOptions(max_tokens=96))


def groups(sources: Sequence[str], folds: int) -> list[list[str]]:
    """Sources that are left out together: the first `folds` head a group each, the others are dealt out in turn.

    The largest source comes first, so give them by size: it is then alone in its group as long as there are others.
    """
    if folds <= 0 or folds >= len(sources):
        return [[source] for source in sources]
    if folds == 1:
        return [list(sources)]
    found = [[source] for source in sources[:folds]]
    for index, source in enumerate(sources[folds:]):
        found[1 + index % (folds - 1)].append(source)
    return found


def leave_sources_out(
    train: Examples,
    measured: Examples,
    encoder: Encoder,
    options: LeaveOutOptions,
    track: Callable[[str], Progress],
) -> dict[str, object]:
    """Task accuracy and Spearman of the complexity on each source, by a model that never saw it.

    Args:
        train: what to train on; the rows of the left-out sources are taken out.
        measured: rows with a task or a difficulty.
        encoder: an encoder as loaded; it is copied, not changed.

    Returns:
        `by_source` {source: accuracy} and its `mean`, `complexity_spearman` {source: ρ}, `rows` {source: count}, the groups and the options.

    Raises:
        DataError: a source that the measured data does not have.
    """
    names, counts = np.unique(measured.sources, return_counts=True)
    by_size = [str(names[index]) for index in np.argsort(-counts, kind="stable")]
    wanted = list(options.sources) or by_size
    for source in wanted:
        if source not in by_size:
            raise DataError(f"no rows of source '{source}'; the data has {', '.join(by_size)}")
    accuracy: dict[str, float] = {}
    spearman: dict[str, float] = {}
    rows: dict[str, int] = {}
    rng = np.random.default_rng(options.fit.seed)
    for group in groups(wanted, options.folds):
        kept = train.select(~np.isin(train.sources, group)).balance(options.cap, options.fit.seed)
        copied = dataclasses.replace(encoder, module=copy.deepcopy(encoder.module))
        model = new_classifier(copied, len(kept.models), options.fit.seed)
        fit(model, copied, kept, options.fit, track(f"without {', '.join(group)}"))
        for source in group:
            indices = np.flatnonzero(measured.sources == source)
            if len(indices) > options.rows:
                indices = np.sort(rng.choice(indices, options.rows, replace=False))
            part = measured.select(indices)
            rows[source] = len(part)
            pooled = pool_texts(model, copied, part.texts, options.fit.max_tokens)
            with torch.no_grad():
                outputs = model.heads(torch.from_numpy(pooled))
            labelled, rated = part.tasks >= 0, ~np.isnan(part.difficulty)
            if labelled.any():
                correct = outputs.tasks.argmax(1).numpy() == part.tasks
                accuracy[source] = float(correct[labelled].mean())
            if rated.sum() > 1 and part.difficulty[rated].std() > 0:
                spearman[source] = float(spearmanr(outputs.complexity.numpy()[rated], part.difficulty[rated])[0])
    return {
        "by_source": accuracy,
        "mean": float(np.mean(list(accuracy.values()))) if accuracy else None,
        "complexity_spearman": spearman,
        "rows": rows,
        "groups": groups(wanted, options.folds),
        "options": {"cap": options.cap, "fit": asdict(options.fit)},
    }
