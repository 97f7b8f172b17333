"""Sums over recent decisions, by part of a time, model and task, by API key and by source of scores. Sums of parts add up."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import msgspec

from router_backend.core.pricing import TokenPrices
from router_backend.core.records import JUDGE, Outcome, Recorded
from router_backend.state.payoff import Payoff

_STEP = math.log(1.15)  # between two bounds of a histogram: quantiles are known to 7 %
_LEAST_SECONDS = 0.001


class Cell(msgspec.Struct):
    """Answers of a model about a task in one part of the time. Money in USD; `score_squares` for an interval of the mean score."""

    part: int
    model: str  # that answered
    task: str
    requests: int = 0
    failed: int = 0
    cost: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    scored: int = 0
    score_sum: float = 0.0
    score_squares: float = 0.0


class KeySums(msgspec.Struct):
    """Of an API key."""

    requests: int = 0
    failed: int = 0
    cost: float = 0.0


Histogram = dict[int, int]
"""Counts by bucket."""


class Traffic(msgspec.Struct, kw_only=True):
    """Of decisions that were made within [start, end)."""

    start: float
    end: float
    parts: int
    decisions: int = 0
    unanswered: int = 0  # without an outcome: running, or `route` was asked alone
    cells: list[Cell] = []
    keys: dict[str, KeySums] = {}
    reasons: dict[str, int] = {}  # by their first word
    sources: dict[str, int] = {}  # scores by what gave them; empty: people and programs
    latency: dict[str, Histogram] = {}  # of whole answers, by model
    first_token: dict[str, Histogram] = {}
    judge: KeySums = msgspec.field(default_factory=KeySums)  # what judging took; no part of anything else here
    payoff: Payoff = msgspec.field(default_factory=Payoff)

    def add(self, records: Iterable[Recorded], prices: Mapping[str, TokenPrices]) -> None:
        """Count decisions; those of another time are passed over. `prices` of the configured models."""
        cells = {(cell.part, cell.model, cell.task): cell for cell in self.cells}
        for recorded in records:
            decision, outcome, kept = recorded
            if not self.start <= decision.created < self.end:
                continue
            if outcome is not None and outcome.key == JUDGE:
                _count(self.judge, outcome)
                continue
            self.decisions += 1
            self.payoff.add([recorded], prices)
            reason = decision.reason.partition(":")[0]
            self.reasons[reason] = self.reasons.get(reason, 0) + 1
            if kept is not None:
                source = kept.feedback.implicit
                self.sources[source] = self.sources.get(source, 0) + 1
            if outcome is None:
                self.unanswered += 1
                continue
            part = min(self.parts - 1, int(self.parts * (decision.created - self.start) / (self.end - self.start)))
            place = (part, outcome.served, decision.task)
            cell = cells.setdefault(place, Cell(*place))
            _count(cell, outcome)
            cell.prompt_tokens += outcome.usage.prompt
            cell.completion_tokens += outcome.usage.completion
            if kept is not None:
                cell.scored += 1
                cell.score_sum += kept.quality
                cell.score_squares += kept.quality**2
            _count(self.keys.setdefault(outcome.key, KeySums()), outcome)
            if outcome.status < 400:
                _observe(self.latency.setdefault(outcome.served, {}), outcome.latency)
                if outcome.first_token is not None:
                    _observe(self.first_token.setdefault(outcome.served, {}), outcome.first_token)
        self.cells = list(cells.values())

    def join(self, other: Traffic) -> None:
        """Add the sums of other decisions of the same time, in the same parts."""
        cells = {(cell.part, cell.model, cell.task): cell for cell in self.cells}
        for cell in other.cells:
            place = (cell.part, cell.model, cell.task)
            _join(cells.setdefault(place, Cell(*place)), cell)
        self.cells = list(cells.values())
        for key, sums in other.keys.items():
            _join(self.keys.setdefault(key, KeySums()), sums)
        _join(self.judge, other.judge)
        self.payoff.join(other.payoff)
        self.decisions += other.decisions
        self.unanswered += other.unanswered
        for counts, more in ((self.reasons, other.reasons), (self.sources, other.sources)):
            for name, number in more.items():
                counts[name] = counts.get(name, 0) + number
        for histograms, further in ((self.latency, other.latency), (self.first_token, other.first_token)):
            for model, histogram in further.items():
                counted = histograms.setdefault(model, {})
                for bucket, number in histogram.items():
                    counted[bucket] = counted.get(bucket, 0) + number


def quantile(histogram: Histogram, share: float) -> float | None:
    """Seconds below which a share of what was counted lies; None of nothing."""
    wanted, counted = share * sum(histogram.values()), 0
    for bucket, number in sorted(histogram.items()):
        counted += number
        if counted >= wanted:
            return _LEAST_SECONDS * math.exp(_STEP * (bucket - 0.5))
    return None


def _observe(histogram: Histogram, seconds: float) -> None:
    bucket = max(0, math.ceil(math.log(max(seconds, _LEAST_SECONDS) / _LEAST_SECONDS) / _STEP))
    histogram[bucket] = histogram.get(bucket, 0) + 1


def _count(sums: Cell | KeySums, outcome: Outcome) -> None:
    sums.requests += 1
    sums.failed += outcome.status >= 400
    sums.cost += outcome.cost or 0.0


def _join(sums: Cell | KeySums, more: Cell | KeySums) -> None:
    for name in sums.__struct_fields__:
        value = getattr(more, name)
        if name != "part" and not isinstance(value, str):
            setattr(sums, name, getattr(sums, name) + value)
