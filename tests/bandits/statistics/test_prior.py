"""A prior carries a benchmark into a policy: its fit at full accuracy, its weight capped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from router_backend.bandits.context import CONTEXT_DIM, view, view_indices
from router_backend.bandits.factory import build_policy
from router_backend.bandits.statistics.prior import DIM, Prior, PriorError
from router_backend.config.policy import LinUCBPolicyConfig, policy_config
from tests.bandits.examples import NOW, make_context, make_models, make_policy, make_query


def _benchmark(rows: int = 600) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(0)
    contexts = np.stack([make_context(rng) for _ in range(rows)])
    heads = rng.normal(size=(2, CONTEXT_DIM))
    quality = np.clip(0.5 + contexts @ heads.T / 4, 0, 1)
    return contexts, quality, np.abs(quality) * 1e-3


def _prior(ridge: float = 1.0) -> Prior:
    return Prior.fit(["m0", "gone"], *_benchmark(), ridge=ridge)


@pytest.mark.parametrize("components", [32, 64, 128])
def test_a_policy_starts_with_the_ridge_fit_over_its_own_view(components: int) -> None:
    contexts, quality, cost = _benchmark()
    policy = make_policy(prior=_prior(ridge=2.0), components=components, prior_weight=10, ridge=1e-6)
    x = view(contexts, view_indices(components))
    penalty = np.diag([2.0] * (x.shape[1] - 1) + [0.0])
    solved = np.linalg.solve(x.T @ x + penalty, x.T @ np.column_stack([quality[:, 0], cost[:, 0]]))
    query = make_query(contexts[3], costs=(np.nan, 1.0, 1.0))
    assert policy.qualities(query)[0] == pytest.approx(x[3] @ solved[:, 0], rel=1e-3)
    assert policy.scores(query).costs[0] == pytest.approx(x[3] @ solved[:, 1], rel=1e-3)


def test_the_cap_makes_a_prior_easier_to_overrule() -> None:
    contexts, _, _ = _benchmark()
    estimates = []
    for weight in (5, 600, 1e9):
        policy = make_policy(prior=_prior(), prior_weight=weight, change={"false_alarm": 0})  # the weights alone
        assert policy.counts[0] == min(weight, 600)
        for context in contexts[:100]:
            policy.update(context, 0, 0.0, 0.0, NOW)
        estimates.append(np.mean([policy.qualities(make_query(context))[0] for context in contexts[:100]]))
    assert estimates[0] < 0.1 < estimates[1]
    assert estimates[1] == pytest.approx(estimates[2])


@pytest.mark.parametrize("name", ["ucb1", "thompson", "epsilon_greedy"])
def test_policies_without_context_start_with_the_plain_mean(name: str) -> None:
    _, quality, _ = _benchmark()
    policy = make_policy(name, prior=_prior(), prior_weight=1000, reward={"lambda": 0})
    assert policy.counts.tolist() == [600, 0, 0]
    assert policy.scores(make_query()).means[0] == pytest.approx(quality[:, 0].mean(), abs=1e-3)


def test_no_weight_is_no_prior() -> None:
    query = make_query(_benchmark()[0][0])
    assert make_policy(prior=_prior(), prior_weight=0).scores(query) == make_policy().scores(query)


def test_unknown_scores_are_left_out_of_the_fit() -> None:
    contexts, quality, cost = _benchmark()
    partial = quality.copy()
    partial[300:, 0] = np.nan
    fitted = Prior.fit(["a", "b"], contexts, partial, cost, ridge=1.0)
    half = Prior.fit(["a", "b"], contexts[:300], quality[:300], cost[:300], ridge=1.0)
    np.testing.assert_allclose(fitted.precision[0], half.precision[0])
    np.testing.assert_allclose(fitted.quality[0], half.quality[0])
    assert fitted.precision[1, -1, -1] == 600


def test_a_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    prior = Prior.fit(["m0", "gone"], *_benchmark(), ridge=1.0, cost_ridge=0.1)
    prior.save(tmp_path / "prior.npz")
    loaded = Prior.load(tmp_path / "prior.npz")
    assert (loaded.arms, loaded.ridge, loaded.space) == (prior.arms, prior.ridge, prior.space)
    assert loaded.cost_ridge == 0.1
    for name in ("precision", "quality", "cost"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(prior, name))


def test_of_a_prior_file_only_quality_is_taken(tmp_path: Path) -> None:
    """What a benchmark's models cost says nothing of what this deployment's do."""
    contexts, quality, cost = _benchmark()
    config = {"components": 32, "prior_weight": 50, "prior": str(tmp_path / "prior.npz")}
    policies = []
    for factor in (1, 1000):
        Prior.fit(["m0", "m1"], contexts, quality, factor * cost, ridge=1.0).save(tmp_path / "prior.npz")
        policies.append(build_policy(policy_config(config), make_models(1, 2, 3)))
    query = make_query(contexts[3], costs=(np.nan, 1.0, 1.0))
    for observations in (0, 40):
        for policy in policies:
            for context in contexts[:observations]:
                policy.update(context, 0, 0.5, 7e-3, NOW)
        scores = [policy.snapshot().scores(query) for policy in policies]
        assert scores[0] == scores[1]
    assert scores[0].costs[0] == pytest.approx(7e-3, rel=1e-4)
    assert policies[0].counts[0] == 90


def test_unusable_files_are_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "prior.npz"
    prior = _prior()
    good: dict[str, Any] = {
        "version": np.int64(1),
        "space": np.int64(0),
        "ridge": np.float64(1),
        "arms": np.array(prior.arms),
        "precision": prior.precision,
        "quality": prior.quality,
        "cost": prior.cost,
    }
    for change, message in (
        ({"version": np.int64(9)}, "version 9 isn't 1"),
        ({"quality": np.zeros((2, DIM + 1))}, "another context layout"),
        ({"cost": np.full((2, DIM), np.nan)}, "aren't finite"),
        ({"arms": None}, "no 'arms'"),
    ):
        np.savez(path, **{name: value for name, value in {**good, **change}.items() if value is not None})
        with pytest.raises(PriorError, match=message):
            Prior.load(path)
    for content in (b"", b"not a file of arrays", path.read_bytes()[:5000]):
        path.write_bytes(content)
        with pytest.raises(PriorError, match="can't be read"):
            Prior.load(path)


def test_a_prior_of_another_embedding_space_is_left_out() -> None:
    contexts, quality, cost = _benchmark()
    models = make_models(1, 2, 3)
    prior = Prior.fit(["m0", "m1"], contexts, quality, cost, ridge=1.0, space=7)
    counts = {space: build_policy(LinUCBPolicyConfig(), models, prior, space=space).counts[0] for space in (0, 7, 8)}
    assert counts == {0: 50, 7: 50, 8: 0}
