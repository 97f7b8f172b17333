"""What routing costs at the same quality: ours against others, with intervals over seeds.

A strategy has a curve of quality and cost over λ, the price of cost. What it costs at a quality is the least that a mix of two points of
its curve reaches; "always the best model" is a point of every curve.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from router_backend.lab.agents.play import Played, play, scored_steps
from router_backend.lab.agents.world import MODELS

WEIGHTS = {"ours": (0.3, 0.6, 1.2), "blind": (0.1, 0.2, 0.4, 0.8), "sticky": (0.2, 0.4, 0.7)}
RIVALS = ("blind", "sticky")
# Student's t, 97.5 %, by degrees of freedom.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds and its 95 % interval, by Student's t."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate:
        n, mean = len(values), float(np.mean(values))
        if n < 2:
            return cls(mean, math.nan, math.nan)
        half = (_T[n - 2] if n - 2 < len(_T) else 1.96) * float(np.std(values, ddof=1)) / n**0.5
        return cls(mean, mean - half, mean + half)


@dataclass(frozen=True, slots=True)
class Line:
    """One strategy at one λ."""

    strategy: str
    weight: float
    quality: Estimate
    cost: Estimate  # USD a run
    switches: Estimate
    cached: Estimate
    against: dict[str, Estimate]  # by rival: our cost over its cost at our quality


def compare(seeds: int, n: int, scored: int = 4000, done: Callable[[], object] = lambda: None) -> Iterator[Line]:
    """All strategies on `seeds` times n runs; `done` is called after each of `plays(seeds)`."""
    played: dict[tuple[str, float], list[Played]] = {}
    for seed in range(seeds):
        events = list(scored_steps(scored, seed))
        for strategy, weight in _settings():
            played.setdefault((strategy, weight), []).append(play(strategy, weight, seed, n, events))
            done()
    for (strategy, weight), found in played.items():
        rivals = RIVALS if strategy == "ours" else ()
        yield Line(
            strategy=strategy,
            weight=weight,
            quality=Estimate.of([each.quality for each in found]),
            cost=Estimate.of([each.cost for each in found]),
            switches=Estimate.of([each.switches for each in found]),
            cached=Estimate.of([each.cached for each in found]),
            against={rival: Estimate.of(list(_ratios(found, rival, played))) for rival in rivals},
        )


def plays(seeds: int) -> int:
    return seeds * sum(1 for _ in _settings())


def _settings() -> Iterator[tuple[str, float]]:
    yield MODELS[0], 0.0
    for strategy, weights in WEIGHTS.items():
        for weight in weights:
            yield strategy, weight


def _ratios(ours: Sequence[Played], rival: str, played: dict[tuple[str, float], list[Played]]) -> Iterator[float]:
    for seed, own in enumerate(ours):
        curve = [found[seed] for (strategy, _), found in played.items() if strategy in (rival, MODELS[0])]
        yield own.cost / cost_at([(each.quality, each.cost) for each in curve], own.quality)


def cost_at(curve: Sequence[tuple[float, float]], quality: float) -> float:
    """The least cost at which a mix of two points (quality, cost) reaches a quality; NaN where none does."""
    found = [cost for better, cost in curve if better >= quality]
    for low, cheap in curve:
        for high, dear in curve:
            if low < quality <= high:
                found.append(cheap + (dear - cheap) * (quality - low) / (high - low))
    return min(found, default=math.nan)
