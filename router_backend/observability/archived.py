"""The report out of the archive: the same sums, day by day in DuckDB, whatever their number."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from router_backend.archive.reading import Tables, day
from router_backend.config import RouterConfig
from router_backend.config.models import Price
from router_backend.core.pricing import PER_TOKEN
from router_backend.observability.report import NO_KEY, NO_TASK, PARTS, Report, Sums, most_expensive_first

_DAY = 86_400.0
_STEP = 1.01  # between two latencies that are told apart
_GROUPS = ("model", "task", "key", "reason", "part", "slow")

# One row a decision or answer, whatever number of files it is in: all three tables are grouped by its id at once.
_SUMS = """
WITH rows AS (
    SELECT decision_id, epoch(created) AS created, task, split_part(reason, ':', 1) AS reason FROM decisions
    WHERE decision_id >= $low AND decision_id < $high
    UNION ALL BY NAME
    SELECT decision_id, epoch(completed) AS completed, served, status, prompt_tokens, completion_tokens, cost, latency, key,
        {savings} AS savings FROM outcomes
    WHERE epoch(completed) >= $start AND epoch(completed) < $end AND decision_id >= $low AND decision_id < $high
    UNION ALL BY NAME
    SELECT decision_id, score FROM feedback WHERE decision_id >= $low AND decision_id < $high
), decided AS (
    SELECT any_value(created) AS created, any_value(completed) AS completed, any_value(served) AS model,
        any_value(task) AS task, any_value(key) AS key, any_value(reason) AS reason, any_value(status) AS status,
        any_value(prompt_tokens) AS prompt_tokens, any_value(completion_tokens) AS completion_tokens,
        any_value(cost) AS cost, any_value(savings) AS savings, any_value(score) AS score, any_value(latency) AS latency
    FROM rows GROUP BY decision_id
), answers AS (
    SELECT * REPLACE (coalesce(reason, 'unknown') AS reason, coalesce(nullif(task, ''), $no_task) AS task,
            coalesce(nullif(key, ''), $no_key) AS key),
        least($parts - 1, floor($parts * (completed - $start) / ($end - $start)))::INT AS part,
        floor(ln(greatest(latency, 1e-4)) / ln($step))::INT AS slow, completed IS NOT NULL AS answered
    FROM decided WHERE completed IS NOT NULL OR (created >= $start AND created < $end)
)
SELECT answered, model, task, key, reason, part, slow, grouping(model, task, key, reason, part, slow) AS grouped,
    count(*) AS requests, count(*) FILTER (status >= 400) AS failed, coalesce(sum(prompt_tokens), 0)::BIGINT AS prompt_tokens,
    coalesce(sum(completion_tokens), 0)::BIGINT AS completion_tokens, coalesce(sum(cost), 0) AS cost,
    coalesce(sum(savings), 0) AS savings, count(score) AS scored, coalesce(sum(score), 0) AS score_sum
FROM answers GROUP BY GROUPING SETS
    ((answered), (answered, model), (answered, task), (answered, key), (answered, reason), (answered, part), (answered, slow))
"""


def build_archived(tables: Tables, config: RouterConfig, start: float, end: float) -> Report:
    """As `report.build`, of the archive's rows. Latencies are told to within 1 %."""
    report = Report(start, end, course=[{"cost": 0.0, "savings": 0.0} for _ in range(PARTS)])
    latencies: Counter[int] = Counter()
    sql = _SUMS.format(savings=_savings(config))
    # An answer ends after its decision, which may have been made the day before.
    for name in tables.days(day(start - _DAY), day(end)):
        tables.show(name, name)
        for low, high in tables.ranges(name):
            within = {"start": start, "end": end, "low": low, "high": high}
            rows = tables.query(sql, **within, parts=PARTS, step=_STEP, no_task=NO_TASK, no_key=NO_KEY)
            for row in rows:
                _add(report, latencies, row)
    report.latency = {f"p{q}": _quantile(latencies, q / 100) for q in (50, 95)}
    for group in ("by_model", "by_task", "by_key"):
        setattr(report, group, most_expensive_first(getattr(report, group)))
    return report


def _add(report: Report, latencies: Counter[int], row: Mapping[str, Any]) -> None:
    grouped = [name for bit, name in enumerate(reversed(_GROUPS)) if not row["grouped"] >> bit & 1]
    if not row["answered"]:
        report.unanswered += 0 if grouped else row["requests"]
        return
    if not grouped:
        _sum(report.total, row)
        return
    (group,), value = grouped, row[grouped[0]]
    match group:
        case "reason":
            report.reasons[value] += row["requests"]
        case "slow":
            latencies[value] += row["requests"]
        case "part":
            report.course[value]["cost"] += row["cost"]
            report.course[value]["savings"] += row["savings"]
        case _:
            _sum(getattr(report, f"by_{group}").setdefault(value, Sums()), row)


def _sum(sums: Sums, row: Mapping[str, Any]) -> None:
    for name in Sums.__slots__:
        setattr(sums, name, getattr(sums, name) + row[name])


def _savings(config: RouterConfig) -> str:
    """SQL of what the same tokens would have cost more at the most expensive model; 0 where no cost or model is known."""
    names = ", ".join("'" + name.replace("'", "''") + "'" for name in config.names)
    most = ", ".join(_cost(model.price) for model in config.models)
    return f"CASE WHEN cost IS NULL OR served NOT IN ({names}) THEN 0 ELSE greatest({most}) - cost END"


def _cost(price: Price) -> str:
    """SQL of `core.pricing.answer_cost`."""
    cached, reasoning = (
        "least(greatest(cached_tokens, 0), prompt_tokens)",
        "least(greatest(reasoning_tokens, 0), completion_tokens)",
    )
    parts = [
        (f"(prompt_tokens - {cached})", price.input),
        (cached, price.input if price.cached_input is None else price.cached_input),
        (f"(completion_tokens - {reasoning})", price.output),
        (reasoning, price.output if price.reasoning is None else price.reasoning),
    ]
    return " + ".join(f"{tokens} * {PER_TOKEN * usd!r}::DOUBLE" for tokens, usd in parts)


def _quantile(counts: Counter[int], share: float) -> float | None:
    """The middle of the step in which it lies, in seconds."""
    left = share * sum(counts.values())
    for step in sorted(counts):
        left -= counts[step]
        if left <= 0:
            return math.exp(math.log(_STEP) * (step + 0.5))
    return None
