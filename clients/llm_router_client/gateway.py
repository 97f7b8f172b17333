"""The gateway's dialect: OpenAI's surface, routing hints and decisions in `x-router-…` headers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from llm_router_client.dialect import Call
from llm_router_client.errors import RouterError, from_gateway
from llm_router_client.requests import ChatRequest, Hints, Score
from llm_router_client.results import Chunk, Completion, Decision, Reward


class GatewayDialect:
    """See `docs/api.md` of llm-router."""

    ends_with_done = True

    def route(self, request: ChatRequest) -> Call:
        return Call("/v1/route", request.body(), _hint_headers(request.hints))

    def chat(self, request: ChatRequest) -> Call:
        return Call("/v1/chat/completions", request.body(), _hint_headers(request.hints))

    def feedback(self, score: Score) -> Call:
        optional = {"cost_usd": score.cost_usd, "task": score.task or None, "tags": dict(score.tags) or None}
        given = {name: value for name, value in optional.items() if value is not None}
        return Call("/v1/feedback", {"decision_id": score.decision_id, "score": score.score, **given})

    def lookup(self, decision_id: str) -> Call:
        return Call(f"/v1/decisions/{quote(decision_id, safe='')}")

    def decision(self, body: Mapping[str, Any]) -> Decision:
        return Decision.from_json(body)

    def completion(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> Completion:
        return Completion.from_openai(body, self.opened(headers))

    def reward(self, body: Mapping[str, Any], score: Score) -> Reward:
        return Reward.of(score.decision_id, score.score, body)

    def opened(self, headers: Mapping[str, str]) -> Decision:
        return Decision(
            decision_id=headers.get("x-router-decision-id", ""),
            model=headers.get("x-router-model", ""),
            reason=headers.get("x-router-reason", ""),
            task=headers.get("x-router-task", ""),
            switched=headers.get("x-router-switched") == "true",
        )

    def event(self, event: Mapping[str, Any]) -> tuple[Decision | None, list[Chunk]]:
        return None, [Chunk.from_openai(event)]

    def error(self, status: int, headers: Mapping[str, str], text: str) -> RouterError:
        try:
            body = json.loads(text)
        except ValueError:
            body = text
        return from_gateway(status, headers, body)


def _hint_headers(hints: Hints) -> dict[str, str]:
    if hints.previous_model:
        raise ValueError("Hints.previous_model is for Triton; the gateway remembers each session's model: give session")
    values = {
        "x-router-policy": hints.policy,
        "x-router-session": hints.session,
        "x-router-max-cost": _number(hints.max_cost),
        "x-router-min-quality": _number(hints.min_quality),
        "x-router-models": ",".join(hints.models),
    }
    return {name: value for name, value in values.items() if value}


def _number(value: float | None) -> str:
    return "" if value is None else repr(float(value))
