"""Triton's dialect: inputs and outputs of `route`, `llm_router_bls` and `feedback`, over the generate endpoints.

`llm_router_bls` has the contract of `llm_router`, and can be cancelled. The gRPC transports share the functions here:
a model's inputs and outputs are the same mappings of names to values there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llm_router_client.dialect import Call
from llm_router_client.errors import RouterError, from_triton
from llm_router_client.requests import ChatRequest, Score
from llm_router_client.results import Chunk, Completion, Decision, Reward, Usage

ROUTE, ANSWER, FEEDBACK = "route", "llm_router_bls", "feedback"
PARAMETERS = frozenset({"max_cost", "min_quality"})  # request parameters; all others are tensors


def inputs_of(request: ChatRequest) -> dict[str, Any]:
    """Inputs and parameters of `route` and `llm_router_bls` by name. A named model is the only candidate."""
    hints = request.hints
    candidates = [request.model] if request.model != "auto" else list(hints.models)
    values = {
        "request": json.dumps(request.body()),
        "policy": hints.policy or None,
        "session_id": hints.session or None,
        "candidates": json.dumps(candidates) if candidates else None,
        "previous_model": hints.previous_model or None,
        "max_cost": hints.max_cost,
        "min_quality": hints.min_quality,
    }
    return {name: value for name, value in values.items() if value is not None}


def feedback_inputs(score: Score) -> dict[str, Any]:
    values = {
        "decision_id": score.decision_id,
        "score": float(score.score),
        "cost_usd": None if score.cost_usd is None else float(score.cost_usd),
        "task": score.task or None,
        "tags": json.dumps(score.tags) if score.tags else None,
    }
    return {name: value for name, value in values.items() if value is not None}


def decision_of(outputs: Mapping[str, Any]) -> Decision:
    """From the outputs of `route`."""
    return Decision.from_json(json.loads(outputs["decision"]))


def served(outputs: Mapping[str, Any]) -> Decision:
    """From the outputs of `llm_router_bls`, which repeat no more of it than this."""
    return Decision(decision_id=outputs["decision_id"], model=outputs["model"])


def completion_of(outputs: Mapping[str, Any]) -> Completion:
    return Completion.from_openai(json.loads(outputs["chunk"]), served(outputs))


def chunks_of(outputs: Mapping[str, Any]) -> list[Chunk]:
    """The chunks of one response: those that were ready together, a line each."""
    chunks = [Chunk.from_openai(json.loads(line)) for line in outputs["chunk"].split("\n") if line]
    if chunks and chunks[-1].usage is None and outputs["num_output_tokens"]:
        usage = Usage(outputs["num_input_tokens"], outputs["num_output_tokens"])
        chunks[-1] = replace(chunks[-1], usage=usage)
    return chunks


def no_lookup() -> ValueError:
    return ValueError("Triton keeps no decisions to look up; the gateway does: use its address")


class TritonDialect:
    """Over HTTP: `POST /v2/models/<model>/generate` and `generate_stream`."""

    ends_with_done = False

    def route(self, request: ChatRequest) -> Call:
        return Call(f"/v2/models/{ROUTE}/generate", inputs_of(request))

    def chat(self, request: ChatRequest) -> Call:
        method = "generate_stream" if request.streamed else "generate"
        return Call(f"/v2/models/{ANSWER}/{method}", inputs_of(request))

    def feedback(self, score: Score) -> Call:
        return Call(f"/v2/models/{FEEDBACK}/generate", feedback_inputs(score))

    def lookup(self, decision_id: str) -> Call:
        raise no_lookup()

    def decision(self, body: Mapping[str, Any]) -> Decision:
        return decision_of(body)

    def completion(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> Completion:
        return completion_of(body)

    def reward(self, body: Mapping[str, Any], score: Score) -> Reward:
        return Reward.of(score.decision_id, score.score, body)

    def opened(self, headers: Mapping[str, str]) -> Decision | None:
        return None

    def event(self, event: Mapping[str, Any]) -> tuple[Decision | None, list[Chunk]]:
        return served(event), chunks_of(event)

    def error(self, status: int, headers: Mapping[str, str], text: str) -> RouterError:
        # An error of generate_stream is an event, though its status is that of the error.
        try:
            message = json.loads(text.strip().removeprefix("data:"))["error"]
        except (ValueError, LookupError, TypeError):
            message = text[:500] or f"HTTP {status}"
        return from_triton(status, str(message))
