"""Does it pay, from what has really been answered: routing beside one model alone. Sums of parts add up.

What one model would have scored is estimated from the answers that the policy chose it for, each weighted by one over the probability
of that choice (self-normalised inverse propensity scores; Swaminathan and Joachims 2015, "The self-normalized estimator for
counterfactual learning"). What it would have cost follows from the tokens and its price. Intervals are those of ratios of means.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from router_backend.core.pricing import TokenPrices, answer_cost
from router_backend.core.records import Recorded

ENOUGH = 30.0
"""Scored answers of equal weight that an estimate is made of at least."""
_Z = 1.96  # of a 95 % interval


class Ratio(msgspec.Struct):
    """Sums over pairs (n, d), for Σ n / Σ d: scores by their weights, or what answers cost by what they would cost elsewhere."""

    pairs: int = 0
    n: float = 0.0
    nn: float = 0.0
    d: float = 0.0
    dd: float = 0.0
    dn: float = 0.0

    def add(self, n: float, d: float) -> None:
        self.pairs += 1
        self.n += n
        self.nn += n**2
        self.d += d
        self.dd += d**2
        self.dn += n * d

    def join(self, other: Ratio) -> None:
        """Add the sums of other pairs."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def enough(self) -> bool:
        """Whether weights d are as good as `ENOUGH` equal ones."""
        return self.dd > 0 and self.d**2 / self.dd >= ENOUGH

    def figure(self) -> Figure | None:
        """None where Σ d is nothing."""
        if self.d <= 0:
            return None
        ratio = self.n / self.d
        spread = max(0.0, self.nn - 2 * ratio * self.dn + ratio**2 * self.dd)
        return Figure(ratio, _Z * math.sqrt(spread) / self.d)


@dataclass(frozen=True, slots=True)
class Figure:
    value: float
    half: float  # width of its 95 % interval

    def __str__(self) -> str:
        return f"{self.value:.1%} ({self.value - self.half:.1%} … {self.value + self.half:.1%})"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Routing beside the best single model."""

    quality: Figure
    model: str
    model_quality: Figure
    cost_share: Figure | None  # of that model's cost; None: it costs nothing


class Payoff(msgspec.Struct):
    """Of answers that were routed; named models and what had no answer are left out."""

    routed: Ratio = msgspec.field(default_factory=Ratio)  # of weighted scores
    alone: dict[str, Ratio] = {}  # by model, the same of the answers that the policy chose it for
    paid: dict[str, Ratio] = {}  # by model, of all answers: what they cost by what their tokens cost there

    def add(self, records: Iterable[Recorded], prices: Mapping[str, TokenPrices]) -> None:
        """`prices` of the models that are compared."""
        for decision, outcome, kept in records:
            if decision.kind != "routed" or outcome is None:
                continue
            if kept is not None:
                selected = 1.0 / max(kept.feedback.selected, 1e-6)
                self.routed.add(kept.quality * selected, selected)
                chosen = decision.propensity if outcome.served == decision.model else None
                if chosen and decision.model in prices:
                    weight = selected / chosen
                    self.alone.setdefault(decision.model, Ratio()).add(kept.quality * weight, weight)
            if outcome.usage_known and outcome.ordinary_cost is not None and outcome.status < 400:
                for model, price in prices.items():
                    self.paid.setdefault(model, Ratio()).add(outcome.ordinary_cost, answer_cost(price, outcome.usage))

    def join(self, other: Payoff) -> None:
        self.routed.join(other.routed)
        for own, others in ((self.alone, other.alone), (self.paid, other.paid)):
            for model, sums in others.items():
                own.setdefault(model, Ratio()).join(sums)

    def verdict(self) -> Verdict | None:
        """None where there are too few scores."""
        known = {model: found for model, sums in self.alone.items() if sums.enough and (found := sums.figure())}
        routed = self.routed.figure() if self.routed.enough else None
        if not known or routed is None:
            return None
        best = max(known, key=lambda model: (known[model].value, model))
        paid = self.paid.get(best)
        return Verdict(routed, best, known[best], paid.figure() if paid else None)

    def sentence(self) -> str:
        """The verdict in plain words, or what it lacks."""
        found = self.verdict()
        if found is None:
            scored = (
                ", ".join(f"{model} {sums.pairs}" for model, sums in sorted(self.alone.items())) or "there are none"
            )
            return (
                "Too few scores to compare routing with one model alone: it takes about 30 scored answers of a model that the"
                f" policy chose ({scored}). Send feedback."
            )
        quality = f"Routing answers with a quality of {found.quality}"
        if found.cost_share is None:
            return f"{quality}; {found.model}, the best single model, has {found.model_quality} and costs nothing."
        return (
            f"{quality} for {found.cost_share} of the cost of {found.model}, the best single model, which has"
            f" {found.model_quality}."
        )
