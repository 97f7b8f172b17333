"""Priors from a benchmark's training split: what a policy believes before the first request.

The prior is a ridge fit per arm of quality and of cost on the context (Bayesian linear regression). Its strength, the ridge
penalty, is chosen by cross-validation on the same training rows; its weight is capped where it is used (`policy.prior_weight`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.prior import Prior
from router_backend.evaluation.datasets import RoutingData
from router_backend.evaluation.encode import Contexts

Floats = NDArray[np.float64]
RIDGES = tuple(float(value) for value in np.logspace(-1, 3, 17))
FOLDS = 5


def fit_prior(data: RoutingData, contexts: Contexts, ridge: float | None = None) -> Prior:
    """The prior of the rows marked `train`; the ridge penalty is cross-validated on them unless it is given.

    Raises:
        ValueError: no row is marked `train`.
    """
    rows = np.flatnonzero(data.train)
    if not len(rows):
        raise ValueError(f"{data.name}: no row has split == train; a prior is never fitted on rows that are evaluated")
    known, seen = data.rows(rows), contexts.rows(rows)
    if ridge is None:
        ridge = best_ridge(seen.context, known.quality)
    return Prior.fit(known.models, seen.context, known.quality, known.cost, ridge, seen.embedding_space)


def best_ridge(context: NDArray[np.float32], quality: Floats) -> float:
    """The penalty of `RIDGES` that predicts best, on rows held out, how the arms differ; `quality` is [rows, arms].

    Only differences between arms decide a choice. They are harder to predict than how hard a prompt is, which all arms
    share, and want a larger penalty: a query's mean over the arms is taken off its qualities first.
    """
    targets = quality - quality.mean(1, keepdims=True)
    fold = np.random.default_rng(0).permutation(len(context)) % FOLDS
    errors = np.zeros(len(RIDGES))
    for k in range(FOLDS):
        fitted, held = fold != k, fold == k
        x, y = context[fitted].astype(np.float64), targets[fitted]
        # Centred: the bias is not penalised.
        center, level = x.mean(0), y.mean(0)
        values, vectors = np.linalg.eigh((x - center).T @ (x - center))
        projected = vectors.T @ ((x - center).T @ (y - level))
        rotated = (context[held] - center) @ vectors
        for i, ridge in enumerate(RIDGES):
            predicted = rotated @ (projected / (np.maximum(values, 0.0) + ridge)[:, None]) + level
            errors[i] += float(((predicted - targets[held]) ** 2).sum())
    return RIDGES[int(errors.argmin())]


def without(prior: Prior, arm: str) -> Prior:
    """The prior as if `arm` were unknown."""
    kept = [i for i, name in enumerate(prior.arms) if name != arm]
    return Prior(
        tuple(prior.arms[i] for i in kept),
        prior.precision[kept],
        prior.quality[kept],
        prior.cost[kept],
        prior.ridge,
        prior.space,
    )
