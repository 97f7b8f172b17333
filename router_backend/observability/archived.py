"""The report out of the archive: the same sums, day by day in DuckDB, whatever their number."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from router_backend.archive.answers import JOINED, made_and_others
from router_backend.archive.reading import Tables, day
from router_backend.config import RouterConfig
from router_backend.config.models import Price
from router_backend.core.pricing import PER_TOKEN
from router_backend.observability.report import CLIENT_LEFT, NO_KEY, NO_TASK, PARTS, Report, Sums, finish
from router_backend.state.payoff import Payoff, Ratio

_DAY = 86_400.0
_STEP = 1.01  # between two latencies that are told apart
_GROUPS = ("model", "task", "key", "reason", "part")

# An answer that isn't of the time is none yet. Few rows come out, so that the sums by this and that cost nothing.
_SUMS = """
WITH timed AS (SELECT *, coalesce(completed >= $start AND completed < $end, false) AS answered FROM {source}),
fine AS (
    SELECT answered, served AS model, coalesce(nullif(task, ''), $no_task) AS task, coalesce(nullif(key, ''), $no_key) AS key,
        coalesce(reason, 'unknown') AS reason,
        CASE WHEN answered THEN least($parts - 1, floor($parts * (completed - $start) / ($end - $start)))::INT END AS part,
        count(*) AS requests, count(*) FILTER (status >= 400 AND status <> {client_left}) AS failed,
        count(*) FILTER (status = {client_left}) AS clients_left, sum(prompt_tokens) AS prompt_tokens,
        sum(completion_tokens) AS completion_tokens, sum(cost) AS cost, sum({savings}) AS savings, count(score) AS scored,
        sum(score) AS score_sum, sum({cached}) AS cached, sum({cache_savings}) AS cache_savings, sum(batch_discount) AS batch_savings
    FROM timed WHERE answered OR (created >= $start AND created < $end) GROUP BY ALL
)
SELECT answered, model, task, key, reason, part, grouping(model, task, key, reason, part) AS grouped,
    sum(requests)::BIGINT AS requests, sum(failed)::BIGINT AS failed, sum(clients_left)::BIGINT AS clients_left, coalesce(sum(prompt_tokens), 0)::BIGINT AS prompt_tokens,
    coalesce(sum(completion_tokens), 0)::BIGINT AS completion_tokens, coalesce(sum(cost), 0) AS cost,
    coalesce(sum(savings), 0) AS savings, coalesce(sum(cached), 0)::BIGINT AS cached_tokens,
    coalesce(sum(cache_savings), 0) AS cache_savings, coalesce(sum(batch_savings), 0) AS batch_savings, sum(scored)::BIGINT AS scored, coalesce(sum(score_sum), 0) AS score_sum
FROM fine GROUP BY GROUPING SETS
    ((answered), (answered, model), (answered, task), (answered, key), (answered, reason), (answered, part))
"""
_LATENCIES = """
SELECT floor(ln(greatest(latency, 1e-4)) / ln($step))::INT AS slow, count(*) AS requests FROM {source}
WHERE completed >= $start AND completed < $end GROUP BY slow
"""


# The sums of `Payoff`, whose words these are: by model the scores of the answers that the policy chose it for, and of all together.
_SCORES = """
WITH scored AS (
    SELECT chosen, served, propensity, quality AS q, 1 / greatest(selected, 1e-6) AS v FROM {source}
    WHERE kind = 'routed' AND quality IS NOT NULL AND completed >= $start AND completed < $end
),
weighed AS (
    SELECT NULL AS model, q, v AS w FROM scored
    UNION ALL
    SELECT chosen AS model, q, v / propensity AS w FROM scored WHERE served = chosen AND propensity > 0
)
SELECT model, count(*) AS pairs, sum(w * q) AS n, sum(w * w * q * q) AS nn, sum(w) AS d, sum(w * w) AS dd, sum(w * w * q) AS dn
FROM weighed GROUP BY model
"""
_PAID = """
SELECT count(*) AS pairs, sum(paid) AS n, sum(paid * paid) AS nn, {columns} FROM (SELECT *, cost + batch_discount AS paid FROM {source}) WHERE kind = 'routed' AND usage_known AND cost IS NOT NULL
    AND status < 400 AND completed >= $start AND completed < $end
"""


class _Reading:
    """Rows of answers on their way into a report."""

    def __init__(self, tables: Tables, config: RouterConfig, start: float, end: float) -> None:
        self._tables, self._config = tables, config
        self.report = Report(start, end, course=[{"cost": 0.0, "savings": 0.0} for _ in range(PARTS)])
        self._latencies: Counter[int] = Counter()
        self._payoff = Payoff()

    def add(self, source: str) -> None:
        """Sum the rows of a table of answers."""
        within = {"start": self.report.start, "end": self.report.end}
        config = self._config
        sql = _SUMS.format(
            source=source,
            savings=_savings(config),
            cached=_CACHED,
            cache_savings=_cache_savings(config),
            client_left=CLIENT_LEFT,
        )
        for row in self._tables.query(sql, **within, parts=PARTS, no_task=NO_TASK, no_key=NO_KEY):
            _add(self.report, row)
        for row in self._tables.query(_LATENCIES.format(source=source), **within, step=_STEP):
            self._latencies[row["slow"]] += row["requests"]
        self._payoff.join(self._paid_off(source, within))

    def _paid_off(self, source: str, within: Mapping[str, float]) -> Payoff:
        found, models = Payoff(), self._config.models
        for row in self._tables.query(_SCORES.format(source=source), **within):
            model = row.pop("model")
            if model is None:
                found.routed = Ratio(**row)
            elif model in self._config.names:
                found.alone[model] = Ratio(**row)
        others = [_cost(model.price) for model in models]
        columns = ", ".join(
            f"sum({other}) AS d{at}, sum(({other}) * ({other})) AS dd{at}, sum(paid * ({other})) AS dn{at}"
            for at, other in enumerate(others)
        )
        (row,) = self._tables.query(_PAID.format(source=source, columns=columns), **within)
        if row["pairs"]:
            for at, model in enumerate(models):
                sums = {name: row[f"{name}{at}"] for name in ("d", "dd", "dn")}
                found.paid[model.name] = Ratio(pairs=row["pairs"], n=row["n"], nn=row["nn"], **sums)
        return found

    def done(self) -> Report:
        report = self.report
        report.payoff = self._payoff
        report.latency = {f"p{q}": _quantile(self._latencies, q / 100) for q in (50, 95)}
        return finish(report, self._config)


def build_archived(tables: Tables, config: RouterConfig, start: float, end: float) -> Report:
    """As `report.build`, of the archive's rows. Latencies are told to within 1 %."""
    reading = _Reading(tables, config, start, end)
    # An answer ends after its decision, which may have been made the day before.
    made, others = made_and_others(tables, day(start - _DAY), day(end))
    if made:
        tables.view("answers", made)
        reading.add("answers")
    for name in others:
        tables.show(name, name)
        for low, high in tables.ranges(name):
            tables.put_together("joined", JOINED, low=low, high=high)
            reading.add("joined")
    return reading.done()


def _add(report: Report, row: Mapping[str, Any]) -> None:
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
    return f"CASE WHEN cost IS NULL OR served NOT IN ({names}) THEN 0 ELSE greatest({most}) - cost - batch_discount END"


_CACHED = "least(greatest(cached_tokens, 0), prompt_tokens)"
_WRITTEN = f"least(greatest(cache_write_tokens, 0), prompt_tokens - {_CACHED})"


def _cache_savings(config: RouterConfig) -> str:
    """SQL of `core.pricing.cache_savings` at the model that answered; 0 where it is unknown."""
    cases = "".join(
        f" WHEN '{model.name.replace(chr(39), chr(39) * 2)}' THEN "
        f"{_CACHED} * {PER_TOKEN * _cheaper(price.cached_input, price)!r}::DOUBLE + "
        f"{_WRITTEN} * {PER_TOKEN * _cheaper(price.cache_write, price)!r}::DOUBLE"
        for model in config.models
        if (price := model.price).cached_input is not None or price.cache_write is not None
    )
    return f"CASE served{cases} ELSE 0 END" if cases else "0"


def _cheaper(other: float | None, price: Price) -> float:
    return 0.0 if other is None else price.input - other


def _cost(price: Price) -> str:
    """SQL of `core.pricing.answer_cost`."""
    cached, reasoning = _CACHED, "least(greatest(reasoning_tokens, 0), completion_tokens)"
    parts = [
        (f"(prompt_tokens - {cached} - {_WRITTEN})", price.input),
        (_WRITTEN, price.input if price.cache_write is None else price.cache_write),
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
