"""What a policy would have earned on logged decisions, without serving it.

Each estimator takes the log's propensities p(a|x), the target's probabilities π(a|x) and importance weights w = π/p, and gives
the mean reward a query with a 95 % interval from the estimator's asymptotic normality. Sources: Horvitz and Thompson 1952
(IPS); Swaminathan and Joachims 2015 (SNIPS); Ionides 2008 (clipped weights); Dudík, Langford and Li 2011, equations 1 to 3
(direct method, doubly robust); Chernozhukov et al. 2018 (cross-fitting).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_Z95 = 1.959964
CLIP = 10.0
FOLDS = 5
_RIDGE = 1.0


class PropensityError(ValueError):
    """A log that no off-policy estimate is valid on; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Logged:
    """Decisions with their outcome; one reward (quality, cost, or both in one) a row."""

    context: Floats  # [rows, features], with a bias
    arm: NDArray[np.intp]  # [rows]
    propensity: Floats  # [rows], of `arm`
    reward: Floats  # [rows]
    candidates: NDArray[np.bool_]  # [rows, arms]
    weight: Floats | float = 1.0  # [rows], mean 1: of decisions like this one, the share that was scored, turned over

    def __post_init__(self) -> None:
        rows = np.arange(len(self.arm))
        if not len(rows):
            raise PropensityError("the log has no routed decision with a score; give feedback first, then evaluate")
        if not (np.isfinite(self.propensity).all() and (self.propensity > 0).all() and (self.propensity <= 1).all()):
            bad = int((~((self.propensity > 0) & (self.propensity <= 1))).sum())
            raise PropensityError(
                f"{bad} of {len(rows)} decisions have no propensity in (0, 1]: no off-policy estimate is valid on this log;"
                " log with a policy whose epsilon is above 0"
            )
        if not self.candidates[rows, self.arm].all():
            raise PropensityError("a decision chose an arm that was no candidate; the log is damaged, export it again")
        free = self.candidates.sum(1) > 1
        if free.any() and (self.propensity[free] == 1).all():
            raise PropensityError(
                "every propensity is 1: the log was made by a deterministic policy and says nothing about other arms;"
                " log with epsilon above 0"
            )


@dataclass(frozen=True, slots=True)
class Estimate:
    """Mean reward a query and its 95 % interval."""

    value: float
    low: float
    high: float


def _normal(value: float, influence: Floats) -> Estimate:
    half = _Z95 * float(influence.std(ddof=1)) / len(influence) ** 0.5
    return Estimate(value, value - half, value + half)


def importance_weights(log: Logged, target: Floats) -> Floats:
    """w [rows] = π(a|x) / p(a|x), times the row's weight; `target` is [rows, arms], zero off the candidates."""
    weights: Floats = log.weight * target[np.arange(len(log.arm)), log.arm] / log.propensity
    return weights


def ips(log: Logged, target: Floats) -> Estimate:
    """Inverse propensity score: mean of w·r. Unbiased; wide where w is."""
    terms = importance_weights(log, target) * log.reward
    return _normal(float(terms.mean()), terms)


def snips(log: Logged, target: Floats) -> Estimate:
    """Self-normalised: Σ w·r / Σ w. Bounded by the rewards; interval by the delta method."""
    weights = importance_weights(log, target)
    if not weights.any():
        raise PropensityError("the log holds no decision that this policy would make; nothing can be estimated")
    value = float((weights * log.reward).sum() / weights.sum())
    return _normal(value, weights * (log.reward - value) / weights.mean())


def clipped_ips(log: Logged, target: Floats, limit: float = CLIP) -> Estimate:
    """IPS with w cut at `limit`: less variance, a downward bias for rewards above 0."""
    terms = np.minimum(importance_weights(log, target), limit) * log.reward
    return _normal(float(terms.mean()), terms)


def direct_method(log: Logged, target: Floats, predicted: Floats) -> Estimate:
    """Mean of Σ_a π(a|x)·q̂(x, a). As good as q̂: the interval leaves the model's own error out."""
    terms = log.weight * (target * predicted).sum(1)
    return _normal(float(terms.mean()), terms)


def doubly_robust(log: Logged, target: Floats, predicted: Floats) -> Estimate:
    """Direct method, corrected by weighted residuals: right if either the propensities or q̂ are."""
    rows = np.arange(len(log.arm))
    residual = log.reward - predicted[rows, log.arm]
    terms = log.weight * (target * predicted).sum(1) + importance_weights(log, target) * residual
    return _normal(float(terms.mean()), terms)


def cross_fitted_rewards(log: Logged, folds: int = FOLDS, ridge: float = _RIDGE) -> Floats:
    """q̂ [rows, arms]: ridge regression per arm, each row predicted by a model that did not see it.

    An arm that a fold never logged is predicted by the fold's mean reward.
    """
    rows, arms = log.candidates.shape
    fold = np.random.default_rng(0).permutation(rows) % min(folds, rows)
    predicted = np.empty((rows, arms))
    penalty = ridge * np.eye(log.context.shape[1])
    for k in range(fold.max() + 1):
        held, mean = fold == k, float(log.reward[fold != k].mean()) if rows > 1 else float(log.reward.mean())
        for arm in range(arms):
            seen = ~held & (log.arm == arm)
            x = log.context[seen]
            weights = np.linalg.solve(x.T @ x + penalty, x.T @ (log.reward[seen] - mean))
            predicted[held, arm] = mean + log.context[held] @ weights
    return predicted


def estimate_all(log: Logged, target: Floats) -> dict[str, Estimate]:
    """Every estimator by name: ips, snips, clipped_ips, direct_method, doubly_robust."""
    predicted = cross_fitted_rewards(log)
    return {
        "ips": ips(log, target),
        "snips": snips(log, target),
        "clipped_ips": clipped_ips(log, target),
        "direct_method": direct_method(log, target, predicted),
        "doubly_robust": doubly_robust(log, target, predicted),
    }


def effective_sample(log: Logged, target: Floats) -> float:
    """Kish's effective sample size (Σw)²/Σw²: how many of the log's rows speak about the target policy."""
    weights = importance_weights(log, target)
    return float(weights.sum() ** 2 / max(float((weights**2).sum()), 1e-300))
