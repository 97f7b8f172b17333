"""What the console shows, as JSON, from what the store says and what is configured. No text of prompts or answers is kept anywhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import orjson

from router_backend.config import RouterConfig
from router_backend.config.security import ApiKey
from router_backend.core.pricing import answer_cost
from router_backend.core.records import JUDGE, Decision, KeptFeedback, Outcome, Recorded
from router_backend.state.decision_rows import DecisionRow
from router_backend.state.spend import Spend
from router_backend.state.traffic import Cell, Traffic, quantile

_Z = 1.96  # of a 95 % interval


def row(shown: DecisionRow) -> dict[str, Any]:
    return {"object": "router.decision.row", **asdict(shown)}


def decision(recorded: Recorded, config: RouterConfig) -> dict[str, Any]:
    """One decision in full: how it was made, what came of it, and what the other models would have cost."""
    made, outcome, kept = recorded
    return {
        "object": "router.decision.record",
        "decision_id": made.decision_id,
        "created": made.created,
        "kind": made.kind,
        "model": made.model,
        "reason": made.reason,
        "policy": made.policy,
        "policy_version": made.policy_version,
        "experiment": made.experiment,
        "task": made.task,
        "task_probabilities": made.by_task,
        "complexity": made.complexity,
        "propensity": made.propensity,
        "cost_weight": made.cost_weight,
        "arms": _arms(made, outcome, config),
        "shadows": [{"policy": policy, "model": model} for policy, model in made.shadows],
        "answer": _answer(outcome),
        "feedback": _feedback(kept),
    }


def _arms(made: Decision, outcome: Outcome | None, config: RouterConfig) -> list[dict[str, Any]]:
    """All candidates, the best first; what isn't known is null."""
    names = made.candidates or (made.model,)
    served = outcome.served if outcome else None
    if served and served not in names:
        names = (*names, served)
    at = {name: place for place, name in enumerate(made.candidates)}

    def of(values: tuple[float, ...], name: str) -> float | None:
        place = at.get(name, len(values))
        return values[place] if place < len(values) else None

    arms = [
        {
            "model": name,
            "chosen": name == made.model,
            "served": name == served,
            "score": of(made.scores, name),
            "expected_cost": of(made.expected_cost, name),
            "cost_of_same_tokens": _cost_of(name, outcome, config),
        }
        for name in names
    ]
    return sorted(arms, key=lambda arm: (-math.inf if arm["score"] is None else -arm["score"], arm["model"]))


def _cost_of(name: str, outcome: Outcome | None, config: RouterConfig) -> float | None:
    """Of the answer's tokens, had that model been asked and said as much; of the model that answered, what it did cost."""
    if outcome is None:
        return None
    if name == outcome.served and outcome.cost is not None:
        return outcome.cost
    if not outcome.usage_known or name not in config.names:
        return None
    return answer_cost(config.model(name).price, outcome.usage)


def _answer(outcome: Outcome | None) -> dict[str, Any] | None:
    if outcome is None:
        return None
    shown = asdict(outcome)
    del shown["decision_id"]
    return shown


def _feedback(kept: KeptFeedback | None) -> dict[str, Any] | None:
    if kept is None:
        return None
    feedback = kept.feedback
    try:
        tags = orjson.loads(feedback.tags) if feedback.tags else None
    except ValueError:
        tags = feedback.tags
    return {
        "received": feedback.received,
        "score": feedback.score,
        "source": feedback.implicit or None,  # null: somebody, or a program
        "pending": kept.pending or None,
        "task": feedback.task or None,
        "tags": tags,
        "judged": feedback.judged,
        "credited": kept.arm,
        "quality": kept.quality,
        "cost": kept.cost,
    }


def models(traffic: Traffic, whole: bool, config: RouterConfig, health: Mapping[str, str]) -> dict[str, Any]:
    """Each configured model, and each that answered within the time."""
    served = _by(traffic.cells, lambda cell: cell.model)
    answers = sum(sums["requests"] for sums in served.values())
    names = [*config.names, *sorted(served.keys() - set(config.names))]
    data = []
    for name in names:
        known = config.model(name) if name in config.names else None
        sums = served.get(name) or _sums([])
        data.append(
            {
                "model": name,
                "configured": known is not None,
                "default": name == config.default_model,
                "upstream": known.upstream.kind if known else None,
                "price": known.price.model_dump(mode="json") if known else None,
                "context_window": known.context_window if known else None,
                "breaker": health.get(name),
                "share": sums["requests"] / answers if answers else 0.0,
                **sums,
                "latency": _quantiles(traffic.latency.get(name)),
                "first_token": _quantiles(traffic.first_token.get(name)),
            }
        )
    return {**_head("router.models", traffic, whole), "data": data, "reasons": traffic.reasons}


def learning(traffic: Traffic, whole: bool, found: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of each model's quality and cost, by task and over time, and where it comes from."""
    cells = traffic.cells
    course = [
        {
            "start": traffic.start + part * (traffic.end - traffic.start) / traffic.parts,
            "models": _by([cell for cell in cells if cell.part == part], lambda cell: cell.model),
        }
        for part in range(traffic.parts)
    ]
    answered = sum(cell.requests for cell in cells)
    scored = sum(cell.scored for cell in cells)
    return {
        **_head("router.learning", traffic, whole),
        "headline": traffic.payoff.sentence(),
        "total": _sums(cells),
        "models": _by(cells, lambda cell: cell.model),
        "tasks": {
            task: _by([cell for cell in cells if cell.task == task], lambda cell: cell.model)
            for task in sorted({cell.task for cell in cells})
        },
        "course": course,
        "coverage": {
            "answers": answered,
            "scored": scored,
            "share": scored / answered if answered else 0.0,
            "sources": {source or "feedback": number for source, number in traffic.sources.items()},
        },
        "judge": {"requests": traffic.judge.requests, "cost": traffic.judge.cost},
        "changes": found.get("changes", {}),
        "agreements": found.get("agreements", {}),
    }


def spending(traffic: Traffic, whole: bool, config: RouterConfig, day: str, month: str, spend: Spend) -> dict[str, Any]:
    """Each configured key, and each that has spent: this day and this month, against its budgets and limits."""
    keys = {key.name: key for key in config.security.api_keys}
    spent = {name for period in (day, month) for name in spend.get(period, {})}
    names = [*keys, *sorted((spent | {name for name in traffic.keys if name}) - keys.keys())]
    data = [
        {
            "key": name,
            "configured": name in keys,
            "judge": name == JUDGE,
            "day_usd": spend.get(day, {}).get(name, 0.0),
            "month_usd": spend.get(month, {}).get(name, 0.0),
            "requests": traffic.keys[name].requests if name in traffic.keys else 0,
            "failed": traffic.keys[name].failed if name in traffic.keys else 0,
            **_limits(keys.get(name)),
        }
        for name in names
    ]
    groups = [group.model_dump(mode="json") for group in config.security.groups]
    return {**_head("router.spending", traffic, whole), "day": day, "month": month, "data": data, "groups": groups}


def _limits(key: ApiKey | None) -> dict[str, Any]:
    names = (
        "group",
        "usd_per_day",
        "usd_per_month",
        "requests_per_minute",
        "tokens_per_minute",
        "feedback_per_minute",
        "expires",
    )
    shown = {name: getattr(key, name) if key else None for name in names}
    expires = shown["expires"]
    expired = bool(expires and expires < datetime.now(UTC).date())
    return shown | {"expires": expires.isoformat() if expires else None, "expired": expired}


def _head(kind: str, traffic: Traffic, whole: bool) -> dict[str, Any]:
    """`complete` is false where there are more decisions than are looked at: then figures are of the latest."""
    return {
        "object": kind,
        "start": traffic.start,
        "end": traffic.end,
        "decisions": traffic.decisions,
        "unanswered": traffic.unanswered,
        "complete": whole,
    }


def _by(cells: Iterable[Cell], name: Any) -> dict[str, dict[str, Any]]:
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(name(cell), []).append(cell)
    return {key: _sums(group) for key, group in sorted(groups.items())}


def _sums(cells: list[Cell]) -> dict[str, Any]:
    """`quality` is the mean score with the half width of its 95 % interval; null where nothing is scored."""
    requests, scored = sum(cell.requests for cell in cells), sum(cell.scored for cell in cells)
    cost = sum(cell.cost for cell in cells)
    quality, half = None, None
    if scored:
        quality = sum(cell.score_sum for cell in cells) / scored
        if scored > 1:
            squares = sum(cell.score_squares for cell in cells) - scored * quality**2
            half = _Z * math.sqrt(max(0.0, squares) / (scored - 1) / scored)
    return {
        "requests": requests,
        "failed": sum(cell.failed for cell in cells),
        "cost": cost,
        "cost_per_answer": cost / requests if requests else None,
        "prompt_tokens": sum(cell.prompt_tokens for cell in cells),
        "completion_tokens": sum(cell.completion_tokens for cell in cells),
        "scored": scored,
        "quality": quality,
        "quality_half_width": half,
    }


def _quantiles(histogram: dict[int, int] | None) -> dict[str, float | None]:
    return {f"p{share}": quantile(histogram or {}, share / 100) for share in (50, 95)}
