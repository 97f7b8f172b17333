"""Which model answers: Triton's decision, or, when it fails or is late, the default model."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import orjson

from router_backend.config.agreement import CONFIGURATION
from router_backend.config.schema import RouterConfig
from router_backend.core.decision import RoutedDecision
from router_backend.core.ids import new_decision_id
from router_backend.core.records import Decision, Kind
from router_backend.core.tracing import TraceContext
from router_backend.forwarding.request import Endpoint
from router_backend.gateway.hints import Hints
from router_backend.gateway.http.errors import ApiError, unknown_model
from router_backend.gateway.runtime import Runtime
from router_backend.gateway.triton_client import TritonClient, TritonError
from router_backend.routing.capabilities import fits

AUTO = "auto"
_TRIM_OVER = 64 * 1024


@dataclass(frozen=True, slots=True)
class Plan:
    """A decision and what to do about it."""

    decision: RoutedDecision
    arms: tuple[str, ...]  # best first
    kind: Kind
    ours: bool = False  # made here, so that the store has to be told
    previous: str = ""  # the session's last model
    seconds: float = 0.0  # that the decision took

    @property
    def named(self) -> bool:
        return self.kind == "named"

    def record(self) -> Decision:
        """The decision as the store keeps it."""
        made = self.decision
        return Decision(
            decision_id=made.decision_id,
            created=time.time(),
            kind=self.kind,
            model=made.model,
            reason=made.reason,
            candidates=self.arms,
        )


async def plan(
    body: dict[str, Any],
    endpoint: Endpoint,
    hints: Hints,
    previous: str,
    runtime: Runtime,
    triton: TritonClient,
    trace: TraceContext,
) -> Plan:
    """Decide about a request, in its caller's trace; never fails for routing's sake.

    Raises:
        ApiError: 404, the body names a model that does not exist; 400, no model could ever take the request.
    """
    config, name = runtime.config, body["model"]
    if name != AUTO:
        if name not in config.names:
            raise unknown_model(name, config.names)
        return Plan(_own(name, "named"), (name,), "named", ours=True, previous=previous)
    prompt = classified(body, endpoint)
    if prompt is None:
        arms = _capable(config, endpoint, hints)
        reason = "passthrough" if endpoint == "embeddings" else "passthrough:token_ids"
        return Plan(_own(arms[0], reason), arms, "fallback", ours=True, previous=previous)
    started = time.monotonic()
    try:
        decision = await ask(prompt, hints, previous, runtime, triton, config.routing.deadline_ms / 1000, trace)
        arms = tuple(arm for arm in decision.ranking if arm in config.names) or (decision.model,)
        kind: Kind = "fallback" if decision.reason.startswith("fallback") else "routed"
        ours = False
    except TritonError as error:
        if error.code == "INVALID_ARGUMENT":  # an unknown policy, or no model for what the request needs
            raise ApiError(400, error.message, code="unroutable") from None
        arms = _defaults(config, hints, prompt)
        decision, kind, ours = _own(arms[0], f"fallback:{error.cause}"), "fallback", True
    return Plan(decision, arms, kind, ours, previous, time.monotonic() - started)


async def ask(
    body: dict[str, Any],
    hints: Hints,
    previous: str,
    runtime: Runtime,
    triton: TritonClient,
    seconds: float,
    trace: TraceContext,
) -> RoutedDecision:
    """Triton's decision.

    Raises:
        TritonError: none within `seconds`, or one that the configuration doesn't know.
    """
    allowed = hints.models or runtime.config.names
    health = runtime.engine.health()
    candidates = [arm for arm in allowed if health.get(arm) != "open"] or list(allowed)
    inputs = {"request": _request_json(body), "candidates": orjson.dumps(candidates)}
    for key, value in (("policy", hints.policy), ("session_id", hints.session), ("previous_model", previous)):
        if value:
            inputs[key] = value.encode()
    limits = {"max_cost": hints.max_cost, "min_quality": hints.min_quality}
    parameters: dict[str, float | str] = {key: value for key, value in limits.items() if value is not None}
    parameters[CONFIGURATION] = runtime.fingerprint
    until = time.monotonic() + seconds
    try:
        decision = await triton.route(inputs, parameters, seconds, trace)
    except TritonError as error:
        if error.code != "INVALID_ARGUMENT" or len(candidates) == len(allowed):
            raise
        # What can take it may only be resting: then it is the engine that says so, and when to come back.
        inputs["candidates"] = orjson.dumps(list(allowed))
        decision = await triton.route(inputs, parameters, max(0.001, until - time.monotonic()), trace)
    if decision.model not in runtime.config.names:
        raise TritonError("unknown_model", message="Triton's router has another configuration than the gateway")
    return decision


def _own(model: str, reason: str) -> RoutedDecision:
    return RoutedDecision(decision_id=new_decision_id(), model=model, reason=reason)


def classified(body: dict[str, Any], endpoint: Endpoint) -> dict[str, Any] | None:
    """The chat request whose decision holds for a request; None if there is no text to classify.

    The prompt of a text completion is a user's turn. Several prompts are of one kind, and each has the context window to
    itself: the longest stands for all.
    """
    if endpoint == "chat/completions":
        return body
    prompt = body.get("prompt")
    prompts = [prompt] if isinstance(prompt, str) else prompt
    if endpoint == "embeddings" or not prompts or not all(isinstance(text, str) for text in prompts):
        return None
    needs: dict[str, Any] = {name: body[name] for name in ("model", "max_tokens", "logprobs") if name in body}
    return {**needs, "messages": [{"role": "user", "content": max(prompts, key=len)}]}


def _defaults(config: RouterConfig, hints: Hints, body: dict[str, Any]) -> tuple[str, ...]:
    """The default model first, then the others, should it be down too; within what the client allows.

    Models that can't take the request come last: they are asked only where no other is left.
    """
    allowed = [name for name in config.names if name in hints.models] if hints.models else list(config.names)
    allowed.sort(key=lambda name: (not fits(config.model(name), body, prompt_tokens=0), name != config.default_model))
    return tuple(allowed)


def _capable(config: RouterConfig, endpoint: Endpoint, hints: Hints) -> tuple[str, ...]:
    """Models that may take a request which can't be classified."""
    arms = _defaults(config, hints, {})
    if endpoint == "embeddings":
        embedding = tuple(arm for arm in arms if "embeddings" in config.model(arm).capabilities)
        arms = embedding or arms
    return tuple(arm for arm in arms if config.model(arm).upstream.kind != "tensorrtllm") or arms


def _request_json(body: dict[str, Any]) -> bytes:
    """The body for the classifier. Inlined images and sounds say nothing to it and would fill the channel."""
    data = orjson.dumps(body)
    if len(data) <= _TRIM_OVER:
        return data
    messages = [
        {**message, "content": [_without_data(part) for part in message["content"]]}
        if isinstance(message.get("content"), list)
        else message
        for message in body["messages"]
    ]
    return orjson.dumps({**body, "messages": messages})


def _without_data(part: dict[str, Any]) -> dict[str, Any]:
    return part if part["type"] == "text" else {"type": part["type"]}
