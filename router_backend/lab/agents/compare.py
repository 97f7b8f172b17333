"""What routing costs at the same quality: ours against others, with intervals over seeds.

A strategy has a curve of quality and cost over λ, the cost weight. What it costs at a quality is the least that a mix of two points of
its curve reaches; "always the best model" is a point of every curve.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from router_backend.lab.agents.play import Played, Player, scored_steps
from router_backend.lab.agents.world import MODELS, PROVIDERS, Provider

WEIGHTS: dict[str, tuple[float, ...]] = {
    "ours": (0.3, 0.6, 1.2, 2.4),
    "blind": (0.02, 0.03, 0.045, 0.06, 0.09, 0.12, 0.18, 0.25, 0.35, 0.5),
    "sticky": (0.1, 0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 4.0),
}
RIVALS = ("blind", "sticky")
SEED = 5000
"""The first one that counts. Weights and the policy's own settings were chosen on seeds from 700 to 711."""
_RESAMPLES = 1000
# Student's t, 97.5 %, by degrees of freedom.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds and its 95 % interval, by Student's t; or another statistic of them, by bootstrap."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate:
        n, mean = len(values), float(np.mean(values))
        if n < 2:
            return cls(mean, math.nan, math.nan)
        half = (_T[n - 2] if n - 2 < len(_T) else 1.96 + 2.7 / (n - 1)) * float(np.std(values, ddof=1)) / n**0.5
        return cls(mean, mean - half, mean + half)

    @classmethod
    def resampled(cls, statistic: Callable[[NDArray[np.intp]], float], n: int) -> Estimate:
        """Percentiles of a statistic of n seeds, given by their positions."""
        if n < 2:
            return cls(statistic(np.arange(n)), math.nan, math.nan)
        draws = np.random.default_rng(0).integers(0, n, (_RESAMPLES, n))
        low, high = np.nanpercentile([statistic(draw) for draw in draws], (2.5, 97.5))
        return cls(statistic(np.arange(n)), float(low), float(high))


@dataclass(frozen=True, slots=True)
class Line:
    """One strategy at one λ, at one provider's prices."""

    provider: str
    strategy: str
    weight: float
    quality: Estimate
    cost: Estimate  # USD a run
    switches: Estimate
    cached: Estimate
    against: dict[str, Estimate]  # by rival: our cost over its cost at our quality, a mean over seeds
    together: dict[str, Estimate]  # the same of all seeds' runs together


def compare(
    seeds: int,
    n: int,
    scored: int = 4000,
    done: Callable[[], object] = lambda: None,
    workers: int = 1,
    providers: Sequence[Provider] = PROVIDERS,
) -> Iterator[Line]:
    """All strategies on `seeds` times n runs, the same runs for each, in `workers` processes; `done` is called after each of `parts(seeds)`."""
    jobs = [(provider, seed, n, scored) for provider in providers for seed in range(SEED, SEED + seeds)]
    found: list[dict[tuple[str, float], Played]] = []
    with ProcessPoolExecutor(workers, get_context("spawn")) if workers > 1 else nullcontext() as pool:
        for each in (pool.map if pool else map)(_seed, jobs):
            found.append(each)
            done()
    for at, provider in enumerate(providers):
        yield from _lines(provider.name, found[at * seeds : (at + 1) * seeds])


def parts(seeds: int) -> int:
    return len(PROVIDERS) * seeds


def _seed(job: tuple[Provider, int, int, int]) -> dict[tuple[str, float], Played]:
    """All strategies on one seed."""
    provider, seed, n, scored = job
    weights = sorted({weight for each in WEIGHTS.values() for weight in each})
    player = Player(provider, weights, seed, list(scored_steps(scored, seed)))
    return {(strategy, weight): player.play(strategy, weight, n) for strategy, weight in _settings()}


def _lines(provider: str, seeds: Sequence[dict[tuple[str, float], Played]]) -> Iterator[Line]:
    for strategy, weight in _settings():
        found = [each[strategy, weight] for each in seeds]
        rivals = RIVALS if strategy == "ours" else ()
        yield Line(
            provider=provider,
            strategy=strategy,
            weight=weight,
            quality=Estimate.of([each.quality for each in found]),
            cost=Estimate.of([each.cost for each in found]),
            switches=Estimate.of([each.switches for each in found]),
            cached=Estimate.of([each.cached for each in found]),
            against={
                rival: Estimate.of([_ratio(own, rival, each) for own, each in zip(found, seeds, strict=True)])
                for rival in rivals
            },
            together={rival: _together((strategy, weight), rival, seeds) for rival in rivals},
        )


def _settings() -> Iterator[tuple[str, float]]:
    yield MODELS[0], 0.0
    for strategy, weights in WEIGHTS.items():
        for weight in weights:
            yield strategy, weight


def _together(own: tuple[str, float], rival: str, seeds: Sequence[dict[tuple[str, float], Played]]) -> Estimate:
    """As `_ratio`, with the means of all seeds in place of one's own.

    Within a seed the rival's mix is chosen after its runs have been seen, few as they are, which makes it look cheaper than it is.
    """
    curve = [name for name in seeds[0] if name[0] in (rival, MODELS[0])]
    found = np.array([[(each[name].quality, each[name].cost) for name in (own, *curve)] for each in seeds])

    def ratio(places: NDArray[np.intp]) -> float:
        (quality, cost), *others = found[places].mean(axis=0).tolist()
        return float(cost / cost_at([(better, usd) for better, usd in others], quality))

    return Estimate.resampled(ratio, len(seeds))


def _ratio(own: Played, rival: str, played: dict[tuple[str, float], Played]) -> float:
    curve = [(found.quality, found.cost) for (strategy, _), found in played.items() if strategy in (rival, MODELS[0])]
    return own.cost / cost_at(curve, own.quality)


def cost_at(curve: Sequence[tuple[float, float]], quality: float) -> float:
    """The least cost at which a mix of two points (quality, cost) reaches a quality; NaN where none does."""
    found = [cost for better, cost in curve if better >= quality]
    for low, cheap in curve:
        for high, dear in curve:
            if low < quality <= high:
                found.append(cheap + (dear - cheap) * (quality - low) / (high - low))
    return min(found, default=math.nan)
