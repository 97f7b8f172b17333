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


class Weighted(msgspec.Struct):
    """Sums of scores q with weights w."""

    scored: int = 0
    w: float = 0.0
    ww: float = 0.0
    wq: float = 0.0
    wwq: float = 0.0
    wwqq: float = 0.0

    def add(self, quality: float, weight: float) -> None:
        self.scored += 1
        self.w += weight
        self.ww += weight**2
        self.wq += weight * quality
        self.wwq += weight**2 * quality
        self.wwqq += (weight * quality) ** 2

    @property
    def enough(self) -> bool:
        return self.ww > 0 and self.w**2 / self.ww >= ENOUGH

    def mean(self) -> Figure:
        """Of something that is scored."""
        mean = self.wq / self.w
        spread = max(0.0, self.wwqq - 2 * mean * self.wwq + mean**2 * self.ww)
        return Figure(mean, _Z * math.sqrt(spread) / self.w)


class Paid(msgspec.Struct):
    """Sums of what answers cost, c, and of what their tokens cost at another model, d."""

    c: float = 0.0
    cc: float = 0.0
    d: float = 0.0
    dd: float = 0.0
    cd: float = 0.0

    def add(self, cost: float, other: float) -> None:
        self.c += cost
        self.cc += cost**2
        self.d += other
        self.dd += other**2
        self.cd += cost * other

    def share(self) -> Figure | None:
        """c / d; None where the other model costs nothing."""
        if self.d <= 0:
            return None
        share = self.c / self.d
        spread = max(0.0, self.cc - 2 * share * self.cd + share**2 * self.dd)
        return Figure(share, _Z * math.sqrt(spread) / self.d)


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

    routed: Weighted = msgspec.field(default_factory=Weighted)
    alone: dict[str, Weighted] = {}  # by model, of the answers that the policy chose it for
    paid: dict[str, Paid] = {}  # by model, of all answers

    def add(self, records: Iterable[Recorded], prices: Mapping[str, TokenPrices]) -> None:
        """`prices` of the models that are compared."""
        for decision, outcome, kept in records:
            if decision.kind != "routed" or outcome is None:
                continue
            if kept is not None:
                selected = 1.0 / max(kept.feedback.selected, 1e-6)
                self.routed.add(kept.quality, selected)
                chosen = decision.propensity if outcome.served == decision.model else None
                if chosen and decision.model in prices:
                    self.alone.setdefault(decision.model, Weighted()).add(kept.quality, selected / chosen)
            if outcome.usage_known and outcome.cost is not None and outcome.status < 400:
                for model, price in prices.items():
                    self.paid.setdefault(model, Paid()).add(outcome.cost, answer_cost(price, outcome.usage))

    def join(self, other: Payoff) -> None:
        _join(self.routed, other.routed)
        for model, alone in other.alone.items():
            _join(self.alone.setdefault(model, Weighted()), alone)
        for model, paid in other.paid.items():
            _join(self.paid.setdefault(model, Paid()), paid)

    def verdict(self) -> Verdict | None:
        """None where there are too few scores."""
        known = {model: sums.mean() for model, sums in self.alone.items() if sums.enough}
        if not known or not self.routed.enough:
            return None
        best = max(known, key=lambda model: (known[model].value, model))
        paid = self.paid.get(best)
        return Verdict(self.routed.mean(), best, known[best], paid.share() if paid else None)

    def sentence(self) -> str:
        """The verdict in plain words, or what it lacks."""
        found = self.verdict()
        if found is None:
            scored = (
                ", ".join(f"{model} {sums.scored}" for model, sums in sorted(self.alone.items())) or "there are none"
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


def _join(sums: Weighted | Paid, more: Weighted | Paid) -> None:
    for name in sums.__struct_fields__:
        setattr(sums, name, getattr(sums, name) + getattr(more, name))
