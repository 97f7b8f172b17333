"""Per-arm ridge regressions of quality and cost on the context, kept current by rank-one updates.

For arm a, with weights w, precision A = P + Σ w x xᵀ (P: the prior's, at least ridge·I), b = P·m + Σ w y x, estimate
θ = A⁻¹ b (Li et al. 2010, "A contextual-bandit approach to personalized news article recommendation", algorithm 1,
with one A and several b: quality, and the columns that cost is made of). A block [dim + 1 + k, dim] holds A⁻¹ and, as its last
rows, θ of quality and of the k columns: one matrix–vector product gives all that a score needs. Cost is the sum of its columns at
an arm's rates (USD), and so is its θ: they are applied when it is read. Sherman–Morrison's formula for A⁻¹ and recursive least squares
for θ are then one rank-one update of the block:

    v = block·x − (0, …, 0, quality, columns),   k = A⁻¹x / (1/w + xᵀA⁻¹x),   block ← block − v kᵀ

Writing a block is most of what that costs, so the last few v and k of an arm wait, and go in as one product V K: until then
block·x is taken as block·x − V (K x).

The prior mean of cost, unless a prior gives one, is the arm's own mean c̄ of each column: with p = P's column of the bias, θ of cost is
then larger by c̄·A⁻¹p. It moves with every observation, so it is added when θ is read (`cost`), not kept in the block.

Many observations go in as blocks of `_BLOCK`: with K = W⁻¹ + X A⁻¹ Xᵀ = L Lᵀ and M = L⁻¹ X A⁻¹, A⁻¹ becomes A⁻¹ − MᵀM and θ becomes
θ + Mᵀ L⁻¹ (y − Xθ) (Woodbury's formula): products of matrices, at the speed of the processor.

Sums are kept apart, and each arm is factorised again from them after `REFACTOR` updates, or `_REFACTOR_BLOCKS` in blocks: rounding
can't build up.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.context import STEP
from router_backend.bandits.statistics.fields import Fields, taken

Array = NDArray[np.float64]

# Updates between two factorisations. At 128 components one costs as much as 40 updates.
REFACTOR = 256
# The same of observations that went in as blocks: their rounding is a block's, not an observation's.
_REFACTOR_BLOCKS = 4096
# Updates that go into a block at once.
_TOGETHER = 8
# Observations that go in at once: with more, K costs more than the rest, with fewer, the calls do.
_BLOCK = 48


class Foreseen(NamedTuple):
    """What n observations of an arm would do."""

    errors: Array  # [n], those that `RidgeArms.update` would return of one after the other
    rows: Array  # [n, rows]: (x, quality, cost)
    weights: Array  # [n]
    block: Array  # behind all of them


class RidgeArms:
    """Statistics of all arms. One thread an arm may update; `publish` gives blocks that later updates leave alone."""

    def __init__(
        self, arms: int, dim: int, ridge: float, initial_quality: float = 0.0, rates: Array | None = None
    ) -> None:
        """`initial_quality` is the prior mean of quality; the last component of a context must then be the bias, 1.

        `rates`: [arms, k] USD by which the columns of cost count; None: cost is one column, USD.
        """
        self.dim = dim
        self._rates = np.ones((arms, 1)) if rates is None else rates
        self._rows = dim + 1 + self._rates.shape[1]  # of a block
        self._ridge = ridge
        self.counts = np.zeros(arms)  # Σ w, and what the priors count for
        self._prior_counts = np.zeros(arms)
        self._cost_sums = np.zeros_like(self._rates)  # Σ w cost, by column
        self._centred = [True] * arms  # no prior mean of cost: the arm's own mean takes its place
        self._restarted = [False] * arms  # whose prior is what they were before
        self._prior = [
            _isotropic(self._rows, dim, ridge, initial_quality) for _ in range(arms)
        ]  # [rows, dim]: P and, below, P·m of quality and of each column of cost
        self._sums: list[Array | None] = [None] * arms  # [rows, dim]: Σ w (x, quality, cost) xᵀ
        self._recent: list[Array | None] = [None] * arms  # [REFACTOR, rows]: √w (x, quality, cost), not in `_sums`
        self._filled = [0] * arms
        self._in_blocks = [0] * arms  # observations since the last factorisation that went in as blocks
        self._published: list[NDArray[np.float32] | None] = [None] * arms  # None: changed since
        self._left: list[Array | None] = [None] * arms  # [_TOGETHER, rows]: v, and
        self._right: list[Array | None] = [None] * arms  # [_TOGETHER, dim]: k, of updates that aren't in the block yet
        self._waiting = [0] * arms
        self._blocks: list[Array] = [_solve(prior, dim) for prior in self._prior]

    def set_prior(self, arm: int, precision: Array, means: Array, count: float) -> None:
        """Put a prior under an arm.

        Args:
            precision: [dim, dim], added to the ridge penalty.
            means: [1, dim] of quality alone, or [n, dim] of quality and of the first columns of cost; the others' is 0.
        """
        prior = self._prior[arm]
        prior[: self.dim] += precision
        prior[self.dim : self.dim + len(means)] = means @ prior[: self.dim]
        self._centred[arm] = len(means) == 1
        self._prior_counts[arm] += count
        self.counts[arm] += count
        self._factorise(arm)

    def update(self, arm: int, x: Array, quality: float, cost: float | Array, weight: float = 1.0) -> float:
        """Fold in one observation of context `x` [dim], whose cost is given by column.

        Returns the error of the quality expected of it, (quality − xᵀθ) / √(1 + xᵀA⁻¹x).
        """
        if weight <= 0.0:  # discounted to nothing
            return 0.0
        dim, n = self.dim, self._waiting[arm]
        left, right = self._left[arm], self._right[arm]
        if left is None or right is None:
            left = self._left[arm] = np.empty((_TOGETHER, self._rows))
            right = self._right[arm] = np.empty((_TOGETHER, dim))
        self._published[arm] = None
        recent = self._recent[arm]
        if recent is None:
            recent = self._recent[arm] = np.empty((REFACTOR, self._rows))
        row = recent[self._filled[arm]]
        row[:dim] = x
        row[dim], row[dim + 1 :] = quality, cost
        v = self._blocks[arm].dot(x)
        if n:
            v -= right[:n].dot(x).dot(left[:n])
        v[dim:] -= row[dim:]
        u = v[:dim]
        left[n] = v
        square = float(u.dot(x))
        np.divide(u, 1.0 / weight + square, out=right[n])
        self._waiting[arm] = n + 1
        if weight != 1.0:
            row *= weight**0.5
        self.counts[arm] += weight
        self._cost_sums[arm] += weight * cost
        self._filled[arm] += 1
        if self._filled[arm] == REFACTOR:
            self._factorise(arm)
        elif n + 1 == _TOGETHER:
            self._apply(arm)
        # A rounded square may be a tiny negative number.
        return -float(v[dim]) / math.sqrt(1.0 + max(square, 0.0))

    def foreseen(self, arm: int, xs: Array, qualities: Array, costs: Array, weights: Array) -> Foreseen:
        """What observations [n, dim] would do, folded in one after the other; none is.

        The errors of each, given those before it, are L⁻¹ (y − Xθ) in units of L's diagonal: the recursive residuals of Brown, Durbin and
        Evans (1975), for a block at once.
        """
        rows, dim = self._joined(xs, qualities, costs), self.dim
        used = np.flatnonzero(weights > 0.0)  # the others are discounted to nothing
        told, alone = (rows, 1.0 / weights) if len(used) == len(xs) else (rows[used], 1.0 / weights[used])
        missed, scales = np.empty(len(used)), np.empty(len(used))
        block, learned = self.block(arm).copy(), np.empty((self._rows, self._rows))
        for start in range(0, len(used), _BLOCK):
            part = slice(start, start + _BLOCK)
            x = told[part, :dim]
            products = x @ block.T
            products[:, dim:] -= told[part, dim:]
            spread = products[:, :dim] @ x.T
            spread.reshape(-1)[:: len(x) + 1] += alone[part]  # the diagonal
            lower = np.linalg.cholesky(spread)
            gains = np.linalg.inv(lower) @ products
            # A product with itself costs half of another, and holds what A⁻¹ loses and what θ does side by side.
            block -= np.dot(gains.T, gains, out=learned)[:, :dim]
            missed[part], scales[part] = gains[:, dim], lower.diagonal()
        errors = np.zeros(len(xs))
        errors[used] = -missed * scales / np.sqrt(1.0 + np.maximum(scales**2 - alone, 0.0))
        return Foreseen(errors, rows, weights, block)

    def absorb(self, arm: int, foreseen: Foreseen) -> None:
        """Fold in what was foreseen last of an arm."""
        self._sum_up(arm, foreseen.rows, foreseen.weights)
        self._in_blocks[arm] += len(foreseen.rows)
        if self._in_blocks[arm] >= _REFACTOR_BLOCKS:
            self._factorise(arm)
            return
        self._blocks[arm], self._waiting[arm], self._published[arm] = foreseen.block, 0, None

    def restart(self, arm: int, keep: float, level: bool) -> None:
        """Begin an arm again, with what was known of it as a prior that counts for at most `keep` observations.

        Without `level`, only how quality depends on the context is kept: its level (the bias) counts for one observation, and
        the arm for none.
        """
        self._flush(arm)
        dim, ridge, sums = self.dim, self._ridge * np.eye(self.dim), self._sums[arm]
        means = np.vstack([self.block(arm)[dim], self._columns(arm)])
        precision = self._prior[arm][:dim] - ridge
        if sums is not None:
            precision += sums[:dim]
        count = float(self.counts[arm])
        precision *= min(1.0, keep / count) if count > 0 else 1.0
        if not level:
            ridge[-1, -1] = 1.0
            # The precision of the others when the bias may be anything (a Schur complement).
            along = precision[-1].copy()
            precision -= np.outer(along, along) / max(along[-1], 1e-12)
        self._prior[arm] = np.vstack([ridge, np.zeros((self._rows - dim, dim))])
        self._sums[arm] = None
        self._cost_sums[arm] = 0.0
        self._prior_counts[arm] = self.counts[arm] = 0.0
        self._restarted[arm] = True
        self.set_prior(arm, precision, means, min(keep, count) if level else 0.0)

    def update_many(self, arm: int, xs: Array, qualities: Array, costs: Array, weights: Array) -> None:
        """Fold in n observations of one arm, contexts [n, dim]; many at once cost one factorisation."""
        if len(xs) * 4 < self.dim:
            for x, quality, cost, weight in zip(xs, qualities, costs, weights, strict=True):
                self.update(arm, x, float(quality), cost, float(weight))
            return
        self._sum_up(arm, self._joined(xs, qualities, costs), weights)
        self._factorise(arm)

    def decay(self, factor: float) -> None:
        """Multiply all evidence, not the priors, by `factor`."""
        for arm in range(len(self._blocks)):
            self._flush(arm)
            sums = self._sums[arm]
            if sums is not None:
                sums *= factor
                self._factorise(arm)
        self.counts += (factor - 1.0) * self.evidence
        self._cost_sums *= factor

    def block(self, arm: int) -> Array:
        """[rows, dim]: A⁻¹, and below it θ of quality and of the columns of cost (but see `cost`). It is the one that updates write to."""
        if self._waiting[arm]:
            self._apply(arm)
        return self._blocks[arm]

    def publish(self) -> tuple[NDArray[np.float32], ...]:
        """[dim + 2, dim] of each arm as it is now, which nobody writes to: A⁻¹, θ of quality, and θ of cost in USD. Only arms that have changed
        are copied again.

        Sums are FP64 where rounding could build up; a copy to be read is FP32, since reading it is nearly all that a choice
        costs. A score is then off by about 1e-6.
        """
        for arm in range(len(self._blocks)):
            if self._published[arm] is None:
                copy = self._published[arm] = self.block(arm)[: self.dim + 2].astype(np.float32)
                copy[self.dim + 1] = self.cost(arm)
        return tuple(block for block in self._published if block is not None)

    @property
    def evidence(self) -> Array:
        """[arms]: Σ w, the priors left out."""
        return np.asarray(self.counts - self._prior_counts)

    def cost(self, arm: int) -> Array:
        """[dim]: θ of cost, in USD. Blocks that are published have it in their last row."""
        return np.asarray(self._rates[arm].dot(self._columns(arm)))

    def _columns(self, arm: int) -> Array:
        """[k, dim]: θ of the columns of cost."""
        block = self.block(arm)
        theta: Array = block[self.dim + 1 :]
        count = self.counts[arm] - self._prior_counts[arm]
        if not self._centred[arm] or count <= 0:
            return theta
        bias = self._prior[arm][self.dim - 1]
        return np.asarray(theta + np.outer(self._cost_sums[arm] / count, bias.dot(block[: self.dim])))

    def sums(self, arm: int) -> Array:
        """[rows, dim]: Σ w x xᵀ, Σ w quality·x, Σ w cost·x by column of the evidence, without the prior."""
        self._flush(arm)
        sums = self._sums[arm]
        return np.zeros((self._rows, self.dim)) if sums is None else sums.copy()

    def take(self, arm: int, other: RidgeArms, other_arm: int) -> None:
        """Replace an arm's evidence by that of another's arm; the prior stays, unless the other has restarted."""
        self._filled[arm] = 0
        if other._restarted[other_arm]:
            self._restarted[arm], self._centred[arm] = True, other._centred[other_arm]
            self._prior[arm] = other._prior[other_arm].copy()
            self._prior_counts[arm] = other._prior_counts[other_arm]
        self._sums[arm] = other.sums(other_arm)
        self.counts[arm] = self._prior_counts[arm] + other.evidence[other_arm]
        self._cost_sums[arm] = other._cost_sums[other_arm]
        self._factorise(arm)

    def dump(self) -> Fields:
        """The evidence of all arms, and the priors of those that have restarted; other priors are the configuration's."""
        restarted = np.array(self._restarted)
        priors = [prior for prior, again in zip(self._prior, self._restarted, strict=True) if again]
        return {
            "evidence": self.evidence,
            "cost_sums": self._cost_sums.copy(),
            "sums": np.stack([self.sums(arm) for arm in range(len(self._blocks))]),
            "restarted": restarted,
            "prior": np.stack(priors) if priors else np.zeros((0, self._rows, self.dim)),
            "prior_counts": self._prior_counts[restarted],
            "centred": np.array(self._centred)[restarted],
        }

    def load(self, fields: Fields) -> None:
        """Take over what `dump` wrote, in place of all evidence.

        Raises:
            FieldsError: it is of other arms or another dimension; nothing is changed.
        """
        arms, shape = len(self._blocks), (self._rows, self.dim)
        fields = {name: _widened(name, value, self.dim, self._ridge) for name, value in fields.items()}
        evidence, cost_sums = taken(fields, "evidence", arms), taken(fields, "cost_sums", *self._rates.shape)
        sums, restarted = taken(fields, "sums", arms, *shape), taken(fields, "restarted", arms).astype(bool)
        again = int(restarted.sum())
        priors, counts = taken(fields, "prior", again, *shape), taken(fields, "prior_counts", again)
        centred = taken(fields, "centred", again)
        for i, arm in enumerate(np.flatnonzero(restarted).tolist()):
            self._prior[arm], self._prior_counts[arm] = priors[i], counts[i]
            self._restarted[arm], self._centred[arm] = True, bool(centred[i])
        self.counts[:] = self._prior_counts + evidence
        self._cost_sums[:] = cost_sums
        for arm in range(arms):
            self._filled[arm] = 0
            self._sums[arm] = sums[arm]
            self._factorise(arm)

    def _apply(self, arm: int) -> None:
        left, right, n = self._left[arm], self._right[arm], self._waiting[arm]
        if left is not None and right is not None:
            self._blocks[arm] -= np.dot(left[:n].T, right[:n])
        self._waiting[arm] = 0

    def _flush(self, arm: int) -> None:
        recent, filled = self._recent[arm], self._filled[arm]
        if recent is not None and filled:
            self._add(arm, recent[:filled])
            self._filled[arm] = 0

    def _joined(self, xs: Array, qualities: Array, costs: Array) -> Array:
        """[n, rows]: (x, quality, cost) of n observations."""
        rows = np.empty((len(xs), self._rows))
        rows[:, : self.dim], rows[:, self.dim], rows[:, self.dim + 1 :] = xs, qualities, costs.reshape(len(xs), -1)
        return rows

    def _sum_up(self, arm: int, rows: Array, weights: Array) -> None:
        self._add(arm, rows if (weights == 1.0).all() else rows * np.sqrt(weights)[:, None])
        self.counts[arm] += weights.sum()
        self._cost_sums[arm] += weights @ rows[:, self.dim + 1 :]

    def _add(self, arm: int, rows: Array) -> None:
        added = (rows.T @ rows)[:, : self.dim]  # a product with itself costs half of another
        sums = self._sums[arm]
        self._sums[arm] = added if sums is None else np.add(sums, added, out=sums)

    def _factorise(self, arm: int) -> None:
        self._flush(arm)
        sums = self._sums[arm]
        self._waiting[arm] = self._in_blocks[arm] = 0
        self._blocks[arm] = _solve(self._prior[arm] if sums is None else self._prior[arm] + sums, self.dim)
        self._published[arm] = None


def _widened(name: str, value: NDArray[Any], dim: int, ridge: float) -> NDArray[Any]:
    """Sums or priors [n, rows, d] of contexts without the step of a loop, in today's layout: nothing was seen of it, so the penalty
    alone is known. Others as they are."""
    if name not in ("sums", "prior") or value.ndim != 3 or value.shape[2] != dim - STEP:
        return value
    at = dim - STEP - 1  # in front of the bias
    wide = np.insert(np.insert(value, [at] * STEP, 0.0, axis=1), [at] * STEP, 0.0, axis=2)
    if name == "prior":
        wide[:, range(at, at + STEP), range(at, at + STEP)] = ridge
    return wide


def _isotropic(rows: int, dim: int, ridge: float, initial_quality: float) -> Array:
    prior = np.zeros((rows, dim))
    np.fill_diagonal(prior, ridge)
    prior[dim, -1] = ridge * initial_quality
    return prior


def _solve(total: Array, dim: int) -> Array:
    """The block of a precision matrix with its b below."""
    inverse = np.linalg.inv(total[:dim])
    inverse = (inverse + inverse.T) / 2
    return np.vstack([inverse, total[dim:] @ inverse])
