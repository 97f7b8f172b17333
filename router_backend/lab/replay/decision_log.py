"""Decision logs as JSON lines: a state.records.Decision's fields, with `score`, `cost` and `served` of its outcome."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from router_backend.bandits.context import CONTEXT_DIM, EARLIER_DIM, widened
from router_backend.core.records import Decision
from router_backend.lab.replay.offpolicy import PropensityError
from router_backend.state import codec
from router_backend.user_files import DataError, json_objects

# Its weight would outvote a million other decisions.
_LEAST_PROPENSITY = 1e-6


@dataclass(frozen=True, slots=True)
class Scored:
    """A decision and what its answer was worth."""

    decision: Decision
    score: float
    cost: float
    selected: float = 1.0  # probability that this answer was chosen to be scored


@dataclass(slots=True)
class DecisionLog:
    """Usable rows by time, and how many were left out, by reason."""

    rows: list[Scored]
    left_out: Counter[str] = field(default_factory=Counter)


def read_log(path: Path) -> DecisionLog:
    """Read an export (`.gz` or plain). Left out: named models and fallbacks (no policy chose), decisions without a score or cost, and
    embedding spaces other than the most frequent one.

    Raises:
        PropensityError: a line that is no decision, whose score or cost is out of range, or a decision of a policy without a
            propensity in (0, 1].
    """
    log, bad = DecisionLog([]), 0
    try:
        for number, line, extra in json_objects(path):
            reason, row = _row(f"{path}:{number}", line, extra)
            if row is None:
                log.left_out[reason] += 1
                continue
            bad += row.decision.propensity is None or not 0 < row.decision.propensity <= 1
            log.rows.append(row)
    except DataError as error:
        raise PropensityError(str(error)) from error
    if bad:
        raise PropensityError(
            f"{path}: {bad} of {len(log.rows)} decisions have no propensity in (0, 1]: no off-policy estimate is valid on this log;"
            " log with a policy whose epsilon is above 0"
        )
    _keep_one_space(log)
    if not log.rows:
        reasons = ", ".join(f"{count} {reason}" for reason, count in log.left_out.items()) or "it is empty"
        raise PropensityError(
            f"{path}: no routed decision with a score ({reasons}); give feedback first, then evaluate"
        )
    log.rows.sort(key=lambda row: row.decision.created)
    return log


def _row(place: str, line: bytes, extra: dict[str, Any]) -> tuple[str, Scored | None]:
    """A line as a row, or the reason why it is left out."""
    try:
        decision = codec.decode(Decision, line)
    except codec.RecordError as error:
        raise PropensityError(
            f"{place}: {error}; export the log with `llm-router state export FILE --decisions`"
        ) from error
    if reason := _unusable(decision, extra):
        return reason, None
    propensity = decision.propensity
    if propensity is not None and 0 < propensity < _LEAST_PROPENSITY:
        raise PropensityError(
            f"{place}: propensity is {propensity:g}: a choice as unlikely as that is not made;"
            " log the probability that the chosen model had"
        )
    score, cost = _number(place, "score", extra["score"], 1.0), _number(place, "cost", extra["cost"], math.inf)
    selected = _number(place, "selected", extra.get("selected", 1.0), 1.0)
    if selected < _LEAST_PROPENSITY:
        raise PropensityError(
            f"{place}: selected is {selected:g}: an answer as unlikely to be scored as that is not scored"
        )
    return "", Scored(replace(decision, context=widened(decision.context)), score, cost, selected)


def _number(place: str, name: str, value: Any, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise PropensityError(f"{place}: {name} is {value!r}, which is no number")
    if not 0 <= value <= high:
        limits = "below 0" if high == math.inf else f"outside 0..{high:g}"
        raise PropensityError(f"{place}: {name} is {value:g}, {limits}")
    return float(value)


def _unusable(decision: Decision, extra: dict[str, Any]) -> str:
    if decision.kind != "routed":
        return f"{decision.kind} (no policy chose)"
    if extra.get("score") is None:
        return "without a score"
    if extra.get("cost") is None:
        return "without a cost"
    if extra.get("served") not in (None, "", decision.model):
        return "answered by another model than the chosen one"
    if decision.context.shape not in ((CONTEXT_DIM,), (EARLIER_DIM,)):
        return "without a context of this version's layout"
    return ""


def _keep_one_space(log: DecisionLog) -> None:
    spaces = Counter(row.decision.embedding_space for row in log.rows)
    if len(spaces) > 1:
        kept = spaces.most_common(1)[0][0]
        log.left_out["of another embedding space"] += len(log.rows) - spaces[kept]
        log.rows = [row for row in log.rows if row.decision.embedding_space == kept]


def write_log(path: Path, rows: Iterable[Scored]) -> None:
    """Write rows as `read_log` reads them."""
    with path.open("wb") as file:
        for row in rows:
            fields = orjson.loads(codec.encode(row.decision))
            scored = {"score": row.score, "cost": row.cost, "served": row.decision.model, "selected": row.selected}
            file.write(orjson.dumps({**fields, **scored}))
            file.write(b"\n")
