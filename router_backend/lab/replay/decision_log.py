"""Decision logs as JSON lines: a state.records.Decision's fields, with `score`, `cost` and `served` of its outcome."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from router_backend.bandits.context import CONTEXT_DIM
from router_backend.core.records import Decision
from router_backend.lab.replay.offpolicy import PropensityError
from router_backend.state import codec


@dataclass(frozen=True, slots=True)
class Scored:
    """A decision and what its answer was worth."""

    decision: Decision
    score: float
    cost: float


@dataclass(slots=True)
class DecisionLog:
    """Usable rows by time, and how many were left out, by reason."""

    rows: list[Scored]
    left_out: Counter[str] = field(default_factory=Counter)


def read_log(path: Path) -> DecisionLog:
    """Read an export (`.gz` or plain). Left out: named models and fallbacks (no policy chose), decisions without a score or cost, and
    embedding spaces other than the most frequent one.

    Raises:
        PropensityError: a line that is no decision, or a decision of a policy without a propensity in (0, 1].
    """
    log, bad = DecisionLog([]), 0
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                decision = codec.decode(Decision, line)
                extra: dict[str, Any] = orjson.loads(line)
            except (codec.RecordError, orjson.JSONDecodeError) as error:
                raise PropensityError(
                    f"{path}:{number}: {error}; export the log with `llm-router state export FILE --decisions`"
                ) from error
            reason = _unusable(decision, extra)
            if reason:
                log.left_out[reason] += 1
                continue
            if decision.propensity is None or not 0 < decision.propensity <= 1:
                bad += 1
            log.rows.append(Scored(decision, float(extra["score"]), float(extra["cost"])))
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


def _unusable(decision: Decision, extra: dict[str, Any]) -> str:
    if decision.kind != "routed":
        return f"{decision.kind} (no policy chose)"
    if extra.get("score") is None:
        return "without a score"
    if extra.get("cost") is None:
        return "without a cost"
    if extra.get("served") not in (None, "", decision.model):
        return "answered by another model than the chosen one"
    if decision.context.shape != (CONTEXT_DIM,):
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
            file.write(orjson.dumps({**fields, "score": row.score, "cost": row.cost, "served": row.decision.model}))
            file.write(b"\n")
