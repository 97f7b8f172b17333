"""Off-policy estimates against data where every arm's reward is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from router_backend.lab.replay.offpolicy import Logged, PropensityError, effective_sample, estimate_all, snips

Floats = NDArray[np.float64]
ARMS, ROWS = 3, 600


def world(rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Full information: contexts, success probabilities of each arm, and a target policy's probabilities."""
    x = np.column_stack([rng.normal(size=(ROWS, 3)), np.ones(ROWS)])
    theta = np.array([[0.5, 0.0, 0.2], [-0.5, 0.6, 0.0], [0.2, 0.1, -0.4], [0.0, 0.3, -0.2]])
    success = 1 / (1 + np.exp(-(x @ theta)))
    target = np.full((ROWS, ARMS), 0.05 / ARMS)
    target[np.arange(ROWS), success.argmax(1)] += 0.95
    return x, success, target


def logged(rng: np.random.Generator, x: Floats, success: Floats) -> Logged:
    scores = np.exp(1.5 * x[:, :ARMS])
    behaviour = 0.7 * scores / scores.sum(1, keepdims=True) + 0.3 / ARMS
    arm = (behaviour.cumsum(1) < rng.random((ROWS, 1))).sum(1)
    rows = np.arange(ROWS)
    reward = (rng.random(ROWS) < success[rows, arm]).astype(float)
    return Logged(x, arm, behaviour[rows, arm], reward, np.ones((ROWS, ARMS), bool))


def test_the_true_value_lies_in_the_interval_at_about_the_nominal_rate() -> None:
    rng = np.random.default_rng(5)
    hits = dict.fromkeys(("ips", "snips", "doubly_robust"), 0)
    repeats = 300
    for _ in range(repeats):
        x, success, target = world(rng)
        truth = (target * success).sum(1).mean()
        estimates = estimate_all(logged(rng, x, success), target)
        for name in hits:
            hits[name] += estimates[name].low <= truth <= estimates[name].high
    # A binomial share of 300 at 95 % lies in 0.91..0.98 with probability 0.998.
    assert all(0.91 <= hit / repeats <= 0.98 for hit in hits.values()), hits


def test_doubly_robust_is_narrower_than_ips_and_clipping_never_raises_a_positive_estimate() -> None:
    rng = np.random.default_rng(1)
    x, success, target = world(rng)
    result = estimate_all(logged(rng, x, success), target)
    width = {name: estimate.high - estimate.low for name, estimate in result.items()}
    assert width["doubly_robust"] < width["ips"]
    assert result["clipped_ips"].value <= result["ips"].value


def test_the_logging_policy_itself_is_estimated_by_its_own_mean() -> None:
    rng = np.random.default_rng(2)
    x, success, _ = world(rng)
    log = logged(rng, x, success)
    same = np.zeros((ROWS, ARMS))
    same[np.arange(ROWS), log.arm] = log.propensity
    assert estimate_all(log, same)["ips"].value == pytest.approx(log.reward.mean())
    assert effective_sample(log, same) == pytest.approx(ROWS)


@pytest.mark.parametrize("bad", [0.0, -0.1, 1.5, np.nan])
def test_a_log_with_an_invalid_propensity_is_refused_with_its_count(bad: float) -> None:
    rng = np.random.default_rng(3)
    x, success, _ = world(rng)
    log = logged(rng, x, success)
    propensity = log.propensity.copy()
    propensity[:7] = bad
    with pytest.raises(PropensityError, match="7 of 600 decisions have no propensity"):
        Logged(log.context, log.arm, propensity, log.reward, log.candidates)


def test_a_deterministic_log_is_refused() -> None:
    with pytest.raises(PropensityError, match="deterministic"):
        Logged(np.ones((4, 1)), np.zeros(4, int), np.ones(4), np.ones(4), np.ones((4, 2), bool))


def test_a_target_that_the_log_never_followed_is_refused() -> None:
    log = Logged(np.ones((4, 1)), np.zeros(4, int), np.full(4, 0.5), np.ones(4), np.ones((4, 2), bool))
    with pytest.raises(PropensityError, match="no decision that this policy would make"):
        snips(log, np.tile([0.0, 1.0], (4, 1)))


def test_answers_that_were_chosen_to_be_scored_stand_for_all() -> None:
    """A judge that looks more often where answers are good would shift every estimate."""
    rng = np.random.default_rng(11)
    missed: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(60):
        x, success, target = world(rng)
        full = logged(rng, x, success)
        worth = (target * success).sum(1)
        selected = np.where(worth > np.median(worth), 0.8, 0.2)
        seen = rng.random(ROWS) < selected
        weight = 1 / selected[seen] / (1 / selected[seen]).mean()
        truth = worth.mean()
        for corrected in missed:
            log = Logged(
                x[seen],
                full.arm[seen],
                full.propensity[seen],
                full.reward[seen],
                full.candidates[seen],
                weight if corrected else 1.0,
            )
            estimates = estimate_all(log, target[seen])
            missed[corrected].append(float(np.mean([estimates[name].value for name in ("ips", "snips")])) - truth)
    corrected, naive = (abs(float(np.mean(missed[which]))) for which in (True, False))
    assert corrected < 0.02
    assert naive > 3 * corrected
