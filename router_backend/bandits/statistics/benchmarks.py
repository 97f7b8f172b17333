"""Published scores as a prior: what `benchmarks` of a model in `router.yaml` say of its quality, by task and language.

Each score counts as observations of prompts that are surely of its task, in its language. A model without scores for a task is
taken as its neighbours are on average there, and where nobody has one, as good as in its other tasks. So arms are compared on
one scale from the first request on, a new one with those that have answered for long, too; what answers say is added to it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.context import JAPANESE
from router_backend.bandits.statistics.prior import DIM, Prior
from router_backend.config.models import ModelConfig
from router_backend.contract import EMBEDDING_DIM, TASKS

# Of the prior's fit: scores are exact, and there are few of them.
_RIDGE = 0.1

Array = NDArray[np.float64]


def published(models: Sequence[ModelConfig], space: int = 0, tasks: Sequence[str] = TASKS) -> Prior | None:
    """The prior of all arms; None if no model has benchmarks of these tasks."""
    scores = np.full((len(models), 2, len(tasks)), np.nan)  # of other languages, and of Japanese
    for arm, model in enumerate(models):
        for language, by_task in model.benchmarks.items():
            for task, score in by_task.items():
                if task in tasks:
                    scores[arm, int(language == "ja"), tasks.index(task)] = score
    known = ~np.isnan(scores).all(0)
    if not known.any():
        return None
    filled = np.where(np.isnan(scores), _neighbours(scores), scores)
    rows = [(language, task) for language in (0, 1) for task in range(len(tasks)) if known[language, task]]
    contexts = np.stack([_context(*row) for row in rows])
    qualities = np.stack([filled[:, language, task] for language, task in rows])  # [rows, arms]
    names = [model.name for model in models]
    costs = np.zeros_like(qualities)
    prior = Prior.fit(names, contexts, qualities, costs, _RIDGE, space)
    return Prior(prior.arms, prior.precision, prior.quality, prior.cost, _RIDGE, space, with_costs=False)


def _neighbours(scores: Array) -> Array:
    """[arms, 2, tasks]: what an arm without a score is expected to have: the others' mean, moved by how it differs elsewhere."""
    counts = (~np.isnan(scores)).sum(0)
    mean = np.where(counts > 0, np.nansum(scores, 0) / np.maximum(counts, 1), np.nan)
    better = np.nan_to_num(scores - mean)
    own = np.maximum((~np.isnan(scores)).sum((1, 2)), 1)
    return np.asarray(np.clip(mean + (better.sum((1, 2)) / own)[:, None, None], 0.0, 1.0))


def _context(language: int, task: int) -> NDArray[np.float32]:
    context = np.zeros(DIM - 1, np.float32)
    context[EMBEDDING_DIM + task], context[JAPANESE] = 1.0, language
    return context
