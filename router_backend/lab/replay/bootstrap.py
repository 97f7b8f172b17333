"""Priors from a benchmark's training split: what a policy believes before the first request.

The prior is a ridge fit per arm of quality and of cost on the context (Bayesian linear regression). Its strength, the ridge
penalty, is chosen by cross-validation on the same training rows; its weight is capped where it is used (`policy.prior_weight`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.statistics.prior import Prior
from router_backend.lab.replay.datasets import RoutingData
from router_backend.lab.replay.encode import Contexts

Floats = NDArray[np.float64]
RIDGES = tuple(float(value) for value in np.logspace(-1, 3, 17))
PRIOR_RIDGES = (3.0, 10.0, 30.0, 100.0, 300.0)
PRIOR_WEIGHTS = (50.0, 200.0, 800.0)
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
    # Every arm's cost weighs the same in the choice, however expensive it is.
    cost_ridge = best_ridge(seen.context, known.cost / np.maximum(known.cost.mean(0), 1e-12))
    return Prior.fit(known.models, seen.context, known.quality, known.cost, ridge, seen.embedding_space, cost_ridge)


def best_ridge(context: NDArray[np.float32], quality: Floats) -> float:
    """The penalty of `RIDGES` that predicts `quality` [rows, arms] best on rows held out; the bias isn't penalised.

    Predicting the differences between arms alone would ask for three to ten times as much, and choose worse on training
    rows held out (docs/replay.md).
    """
    fold = np.random.default_rng(0).permutation(len(context)) % FOLDS
    errors = np.zeros(len(RIDGES))
    for k in range(FOLDS):
        fitted, held = fold != k, fold == k
        x, y = context[fitted].astype(np.float64), quality[fitted]
        # Centred: the bias is not penalised.
        center, level = x.mean(0), y.mean(0)
        values, vectors = np.linalg.eigh((x - center).T @ (x - center))
        projected = vectors.T @ ((x - center).T @ (y - level))
        rotated = (context[held] - center) @ vectors
        for i, ridge in enumerate(RIDGES):
            predicted = rotated @ (projected / (np.maximum(values, 0.0) + ridge)[:, None]) + level
            errors[i] += float(((predicted - quality[held]) ** 2).sum())
    return RIDGES[int(errors.argmin())]


def suited_to(prior: Prior, known: RoutingData, seen: Contexts) -> tuple[Prior, float]:
    """(the prior with the penalty, the weight) that suit the rows of a bootstrap, `known`, whose contexts are `seen`.

    An encoder that was trained on the prior's rows knows them too well, and a benchmark may differ from what is asked: how
    far a prior is to be believed shows on other rows. The penalty has the least squared error of quality over FOLDS folds
    of the rows. The weight is the whole prior's, unless a smaller one is surely better (by two standard errors). Where
    there are too few rows to tell, the prior stays as it is.
    """
    count = float(prior.precision[:, -1, -1].max())
    if len(known) < 4 * FOLDS or not set(known.models) <= set(prior.arms):
        return prior, count
    arms = [prior.arms.index(model) for model in known.models]
    quality = known.quality
    x = np.column_stack([seen.context.astype(np.float64), np.ones(len(known))])
    fold = np.random.default_rng(0).permutation(len(x)) % FOLDS

    def errors(ridge: float, weight: float) -> Floats:
        return _held_out_errors(_anchors(prior, arms, ridge, weight / count), x, quality, fold)

    ridge = min((prior.ridge, *PRIOR_RIDGES), key=lambda ridge: float(errors(ridge, count).sum()))
    whole = errors(ridge, count)
    lighter = {weight: whole - errors(ridge, weight) for weight in PRIOR_WEIGHTS if weight < count}
    sure = {weight: gain.mean() for weight, gain in lighter.items() if gain.mean() > 2 * gain.std() / len(gain) ** 0.5}
    return replace(prior, ridge=ridge), max(sure, key=sure.__getitem__) if sure else count


def _anchors(prior: Prior, arms: list[int], ridge: float, scale: float) -> list[tuple[Floats, Floats]]:
    """(precision, mean) by arm, as a policy with this penalty and weight starts."""
    dim = prior.precision.shape[1]
    penalty = np.diag(np.append(np.full(dim - 1, ridge), 0.0))
    return [
        (
            ridge * np.eye(dim) + scale * prior.precision[arm],
            np.linalg.solve(prior.precision[arm] + penalty, prior.quality[arm]),
        )
        for arm in arms
    ]


def _held_out_errors(
    anchors: list[tuple[Floats, Floats]], x: Floats, quality: Floats, fold: NDArray[np.int64]
) -> Floats:
    """[n] squared errors of quality, as policies estimate it from a prior and the other folds."""
    predicted = np.empty_like(quality)
    for k in range(FOLDS):
        seen, held = x[fold != k], fold == k
        for arm, (precision, mean) in enumerate(anchors):
            total = precision + seen.T @ seen
            predicted[held, arm] = x[held] @ np.linalg.solve(total, precision @ mean + seen.T @ quality[fold != k, arm])
    return np.asarray(((predicted - quality) ** 2).sum(1))


def without(prior: Prior, arm: str) -> Prior:
    """The prior as if `arm` were unknown."""
    kept = [i for i, name in enumerate(prior.arms) if name != arm]
    return replace(
        prior,
        arms=tuple(prior.arms[i] for i in kept),
        precision=prior.precision[kept],
        quality=prior.quality[kept],
        cost=prior.cost[kept],
    )
