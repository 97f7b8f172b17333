"""Requests, cost and savings of a time, by model, task, key and team, out of the state store."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from router_backend.config import RouterConfig
from router_backend.core.pricing import cache_savings, savings
from router_backend.core.records import Decision, KeptFeedback, LearningEvent, Outcome, Record, Recorded
from router_backend.state.payoff import Payoff

_UNITS = {"m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 7 * 86_400.0}
CLIENT_LEFT = 499
PARTS = 48  # of the course over time
NO_TASK, NO_KEY, NO_TEAM = "(not classified)", "(no key)", "(no team)"


def seconds(span: str) -> float:
    """`30m`, `12h`, `1d` or `2w` in seconds.

    Raises:
        ValueError: it is none of these.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([mhdw])", span.strip())
    if found is None or float(found[1]) == 0:
        raise ValueError(f"{span!r}: give a number with m, h, d or w, such as 1d, or a date such as 2026-11-29")
    return float(found[1]) * _UNITS[found[2]]


def moment(text: str, now: float) -> float:
    """Unix time of `1d` (that long before now) or of a date or time in UTC, such as 2026-11-29 or 2026-11-29T08:00.

    Raises:
        ValueError: it is neither.
    """
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return max(0.0, now - seconds(text))
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


@dataclass(slots=True)
class Sums:
    """Of a group of answers. Money in USD; `savings` is against the same tokens at the most expensive model, `cache_savings` is
    what prompt caches have taken from the cost, `batch_savings` what upstreams' Batch APIs have: it is in no other of them."""

    requests: int = 0
    failed: int = 0
    clients_left: int = 0  # before the answer ended: nobody's failure
    prompt_tokens: int = 0
    cached_tokens: int = 0  # of them
    completion_tokens: int = 0
    cost: float = 0.0
    savings: float = 0.0
    cache_savings: float = 0.0
    batch_savings: float = 0.0
    scored: int = 0
    score_sum: float = 0.0

    @property
    def mean_score(self) -> float | None:
        return self.score_sum / self.scored if self.scored else None

    def plain(self) -> dict[str, Any]:
        values = asdict(self)
        del values["score_sum"]
        return {**values, "mean_score": self.mean_score}


@dataclass(slots=True)
class Report:
    """What happened between two Unix times."""

    start: float
    end: float
    total: Sums = field(default_factory=Sums)
    by_model: dict[str, Sums] = field(default_factory=dict)
    by_task: dict[str, Sums] = field(default_factory=dict)
    by_key: dict[str, Sums] = field(default_factory=dict)
    by_team: dict[str, Sums] = field(default_factory=dict)  # empty where keys have no groups
    reasons: Counter[str] = field(default_factory=Counter)
    not_configured: list[str] = field(
        default_factory=list
    )  # models that answered: nothing is known to be saved by them
    unanswered: int = 0  # decisions without an outcome: route asked alone, or still running
    latency: dict[str, float | None] = field(default_factory=dict)  # p50, p95, in seconds
    payoff: Payoff = field(default_factory=Payoff)
    course: list[dict[str, float]] = field(default_factory=list)  # cost and savings of equal parts of the time

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        groups = {
            name: {key: sums.plain() for key, sums in getattr(self, name).items()}
            for name in ("by_model", "by_task", "by_key", "by_team")
        }
        return {
            "start": self.start,
            "end": self.end,
            "total": self.total.plain(),
            **groups,
            "reasons": dict(self.reasons),
            "not_configured": self.not_configured,
            "unanswered": self.unanswered,
            "latency_seconds": self.latency,
            "headline": self.payoff.sentence(),
            "course": self.course,
        }


def build(records: Iterable[Record], config: RouterConfig, start: float, end: float) -> Report:
    """Sum the answers that completed within [start, end). Reads `records` (Archive.records) up to its events.

    An answer of a model that is no longer configured has its cost, and no savings are known of it.
    """
    decisions: dict[str, Decision] = {}
    outcomes: dict[str, Outcome] = {}
    scores: dict[str, KeptFeedback] = {}
    for record in records:
        match record:
            case Decision():
                decisions[record.decision_id] = record
            case Outcome() if start <= record.completed < end:
                outcomes[record.decision_id] = record
            case KeptFeedback():
                scores[record.feedback.decision_id] = record
            case LearningEvent():
                break
    report = Report(start, end, course=[{"cost": 0.0, "savings": 0.0} for _ in range(PARTS)])
    prices, payoff = {model.name: model.price for model in config.models}, Payoff()
    for identity, outcome in outcomes.items():
        decision, kept = decisions.get(identity), scores.get(identity)
        if decision is not None:
            payoff.add([Recorded(decision, outcome, kept)], prices)
        savings = _savings(outcome, config)
        groups = (
            report.total,
            report.by_model.setdefault(outcome.served, Sums()),
            report.by_task.setdefault((decision.task if decision else "") or NO_TASK, Sums()),
            report.by_key.setdefault(outcome.key or NO_KEY, Sums()),
        )
        for sums in groups:
            _add(sums, outcome, savings, _cache_savings(outcome, config), kept.feedback.score if kept else None)
        report.reasons[decision.reason.partition(":")[0] if decision else "unknown"] += 1
        part = report.course[min(PARTS - 1, int(PARTS * (outcome.completed - start) / (end - start)))]
        part["cost"] += outcome.cost or 0.0
        part["savings"] += savings
    report.payoff = payoff
    report.unanswered = sum(start <= d.created < end and d.decision_id not in outcomes for d in decisions.values())
    times = [outcome.latency for outcome in outcomes.values()]
    report.latency = {f"p{q}": float(np.percentile(times, q)) if times else None for q in (50, 95)}
    return finish(report, config)


def finish(report: Report, config: RouterConfig) -> Report:
    """Sum the keys of each team, by the groups that the configuration has now, and put all groups into order."""
    report.not_configured = sorted(set(report.by_model) - set(config.names))
    teams = {key.name: key.group for key in config.security.api_keys if key.group}
    for key, sums in report.by_key.items():
        if teams:
            _join(report.by_team.setdefault(teams.get(key, NO_TEAM), Sums()), sums)
    for name in ("by_model", "by_task", "by_key", "by_team"):
        setattr(report, name, most_expensive_first(getattr(report, name)))
    return report


def _join(sums: Sums, more: Sums) -> None:
    for name in Sums.__slots__:
        setattr(sums, name, getattr(sums, name) + getattr(more, name))


def _add(sums: Sums, outcome: Outcome, savings: float, cache_savings: float, score: float | None) -> None:
    sums.requests += 1
    sums.failed += outcome.status >= 400 and outcome.status != CLIENT_LEFT
    sums.clients_left += outcome.status == CLIENT_LEFT
    sums.prompt_tokens += outcome.usage.prompt
    sums.cached_tokens += min(max(outcome.usage.cached, 0), outcome.usage.prompt)
    sums.completion_tokens += outcome.usage.completion
    sums.cost += outcome.cost or 0.0
    sums.savings += savings
    sums.cache_savings += cache_savings
    sums.batch_savings += outcome.batch_discount
    if score is not None:
        sums.scored += 1
        sums.score_sum += score


def _savings(outcome: Outcome, config: RouterConfig) -> float:
    if outcome.ordinary_cost is None or outcome.served not in config.names:
        return 0.0
    return savings((model.price for model in config.models), outcome.usage, outcome.ordinary_cost)


def _cache_savings(outcome: Outcome, config: RouterConfig) -> float:
    known = outcome.served in config.names
    return cache_savings(config.model(outcome.served).price, outcome.usage) if known else 0.0


def most_expensive_first(groups: Mapping[str, Sums]) -> dict[str, Sums]:
    return dict(sorted(groups.items(), key=lambda item: (-item[1].cost, -item[1].requests, item[0])))
