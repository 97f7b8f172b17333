"""Which model answers: Triton's decision, or, when it fails or is late, the default model."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from router_backend.config.agreement import CONFIGURATION
from router_backend.core.decision import RoutedDecision
from router_backend.core.ids import new_decision_id
from router_backend.core.large import SMALL, off_loop
from router_backend.core.records import Decision, Kind
from router_backend.core.tracing import TraceContext
from router_backend.gateway.bills import NOT_ASKED, Asked
from router_backend.gateway.http.errors import ApiError, unknown_model
from router_backend.gateway.request import AUTO, CompletionRequest
from router_backend.gateway.router_host import HostError, RouterHost, no_turn
from router_backend.gateway.runtime import Runtime
from router_backend.prompts import BadRequest, describe, routing_text
from router_backend.prompts.hints import COST_RATIO, LOADS, PACES, WARM, WRITES
from router_backend.routing.capabilities import default_order, required_capabilities
from router_backend.state.codec import decode, encode

_END = 8 * 1024  # characters of a long text that are read, at its beginning and at its end
_SHORT = 64
_MESSAGES = 32  # the last ones, and the last parts of each
_SCALARS = ("model", "max_tokens", "max_completion_tokens", "logprobs", "top_logprobs")


@dataclass(frozen=True, slots=True)
class Plan:
    """A decision and what to do about it."""

    decision: RoutedDecision
    arms: tuple[str, ...]  # best first
    kind: Kind
    record: Decision | None = None  # for the store; None: Triton's router has written it
    seconds: float = 0.0  # that Triton's decision took, 0 where it wasn't asked
    asked: Asked = NOT_ASKED  # what the router was told of bills

    @property
    def named(self) -> bool:
        return self.kind == "named"

    def to_json(self) -> bytes:
        """All but what is only of this process: `seconds` and `asked`."""
        record = None if self.record is None else encode(self.record).decode()
        kept = {"arms": self.arms, "kind": self.kind, "record": record}
        return orjson.dumps({"decision": orjson.Fragment(self.decision.to_json()), **kept})

    @classmethod
    def from_json(cls, data: bytes) -> Plan:
        kept = orjson.loads(data)
        record = None if kept["record"] is None else decode(Decision, kept["record"])
        return cls(RoutedDecision(**kept["decision"]), tuple(kept["arms"]), kept["kind"], record)


async def make_plan(request: CompletionRequest, runtime: Runtime, router: RouterHost, trace: TraceContext) -> Plan:
    """Decide about a request, in its trace; never fails for routing's sake.

    Raises:
        ApiError: 404, the body names a model that does not exist; 400, no model could ever take the request.
    """
    config = runtime.config
    model: str = request.body["model"]
    kind: Kind = "named"
    arms: tuple[str, ...] = (model,)
    reason, seconds = "named", 0.0
    if model == AUTO:
        prompt = _prompt(request)
        if prompt is None:
            reason = "passthrough" if request.endpoint == "embeddings" else "passthrough:token_ids"
        else:
            started = time.monotonic()
            asked = runtime.bills.ask() if runtime.budgeted else NOT_ASKED
            try:
                decision = await ask(
                    prompt, request, runtime, router, config.routing.deadline_ms / 1000, trace, asked.ratio
                )
            except HostError as error:
                if error.code == "INVALID_ARGUMENT":  # an unknown policy, or no model for what the request needs
                    raise ApiError(400, error.message, code="unroutable") from None
                reason, seconds = f"fallback:{error.cause}", time.monotonic() - started
            else:
                arms = tuple(arm for arm in decision.ranking if arm in config.names) or (decision.model,)
                kind = "fallback" if decision.reason.startswith("fallback") else "routed"
                return Plan(decision, arms, kind, seconds=time.monotonic() - started, asked=asked)
        size, models = request.size, request.hints.models
        kind, arms = "fallback", await off_loop(size, default_order, config, models, prompt, request.endpoint)
    elif model not in config.names:
        raise unknown_model(model, config.names)
    now = time.time()
    decision = RoutedDecision(decision_id=new_decision_id(now), model=arms[0], reason=reason)
    record = Decision(
        decision_id=decision.decision_id, created=now, kind=kind, model=arms[0], reason=reason, candidates=arms
    )
    return Plan(decision, arms, kind, record, seconds)


async def ask(
    prompt: dict[str, Any],
    request: CompletionRequest,
    runtime: Runtime,
    router: RouterHost,
    seconds: float,
    trace: TraceContext,
    cost_ratio: float,
) -> RoutedDecision:
    """Triton's decision about a prompt, which is a chat request.

    `cost_ratio`: as `Bills.ratio`.

    Raises:
        HostError: none within `seconds`, or one that the configuration doesn't know.
    """
    hints = request.hints
    allowed = hints.models or runtime.config.names
    health = runtime.engine.health()
    candidates = [arm for arm in allowed if health.get(arm) != "open"] or list(allowed)
    data, tokens = await off_loop(request.size, _request_json, prompt, request.size)
    inputs = {"request": data, "candidates": orjson.dumps(candidates)}
    optional = {"policy": hints.policy, "session_id": request.session, "previous_model": request.previous_model}
    inputs |= {name: text.encode() for name, text in optional.items() if text}
    limits = {"max_cost": hints.max_cost, "min_quality": hints.min_quality}
    parameters: dict[str, float | str] = {name: limit for name, limit in limits.items() if limit is not None}
    parameters[CONFIGURATION] = runtime.fingerprint
    warm: dict[str, float] = {}
    if request.conversation:
        if runtime.caching:
            warm = runtime.caches.warm(request.conversation, candidates)
        tokens = request.conversation.tokens or tokens
    if writes := runtime.caches.writes(runtime.taking):
        parameters[WRITES] = orjson.dumps(writes).decode()
    if warm:
        parameters[WARM] = orjson.dumps(warm).decode()
    if runtime.config.latency.counts:
        paces = runtime.caches.waits(runtime.engine.paces(), tokens, warm)
        parameters[PACES] = orjson.dumps(paces).decode()
    if loads := runtime.engine.loads():
        parameters[LOADS] = orjson.dumps(loads).decode()
    if runtime.budgeted:
        parameters[COST_RATIO] = cost_ratio
    if tokens:
        parameters["prompt_tokens"] = str(tokens)
    until = time.monotonic() + seconds
    turn = partial(_turn, prompt) if request.size <= SMALL else no_turn
    try:
        decision = await router.route(inputs, parameters, seconds, trace, turn)
    except HostError as error:
        if error.code != "INVALID_ARGUMENT" or len(candidates) == len(allowed):
            raise
        # What can take it may only be resting: then it is the engine that says so, and when to come back.
        inputs["candidates"] = orjson.dumps(list(allowed))
        decision = await router.route(inputs, parameters, max(0.001, until - time.monotonic()), trace, turn)
    if decision.model not in runtime.config.names:
        raise HostError("unknown_model", message="Triton's router has another configuration than the gateway")
    return decision


def _prompt(request: CompletionRequest) -> dict[str, Any] | None:
    """The chat request whose decision holds for a request; None if there is no text to classify.

    The prompt of a text completion is a user's turn. Several prompts are of one kind, and each has the context window to
    itself: the longest stands for all.
    """
    body = request.body
    if request.endpoint == "chat/completions":
        return body
    prompt = body.get("prompt")
    prompts = [prompt] if isinstance(prompt, str) else prompt
    if request.endpoint == "embeddings" or not prompts or not all(isinstance(text, str) for text in prompts):
        return None
    needs: dict[str, Any] = {name: body[name] for name in ("model", "max_tokens", "logprobs") if name in body}
    return {**needs, "messages": [{"role": "user", "content": max(prompts, key=len)}]}


def _turn(prompt: dict[str, Any]) -> str:
    """The text that is classified; empty if there is none, which Triton says in its own words."""
    try:
        return routing_text(prompt["messages"])
    except (BadRequest, LookupError, TypeError):
        return ""


def _request_json(body: dict[str, Any], size: int) -> tuple[bytes, int]:
    """The request for the classifier, and an estimate of its tokens where not all of it is sent, else 0."""
    return (orjson.dumps(body), 0) if size <= SMALL else _large(body)


def _large(body: dict[str, Any]) -> tuple[bytes, int]:
    """A large request as the router needs it, in few bytes, and an estimate of all its tokens.

    Texts come by their ends, which is what the classifier reads of them; of parts, tools and calls only that there are any.
    Of many messages the last ones stay, and one in front stands for what the others need.
    """
    messages, tokens, needs = body["messages"], 0, required_capabilities({**body, "messages": []})
    kept: list[dict[str, Any]] = []
    for at in range(0, len(messages), _MESSAGES):
        some = messages[at : at + _MESSAGES]
        tokens += describe("", some).prompt_tokens
        needs |= required_capabilities({"messages": some})
        kept = [*kept, *map(_short, some)][-_MESSAGES:]
    if "vision" in needs and "vision" not in required_capabilities({"messages": kept}):
        kept.insert(0, {"role": "system", "content": [{"type": "image_url"}]})
    small: dict[str, Any] = {name: body[name] for name in _SCALARS if name in body}
    small["messages"] = kept
    if "tools" in needs:
        small["tools"] = [{"type": "function"}]
    answer = body.get("response_format")
    if isinstance(answer, dict):
        kind = answer.get("type")
        small["response_format"] = {"type": kind if isinstance(kind, str) and len(kind) < _SHORT else ""}
    return orjson.dumps(small), tokens


def _short(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    if isinstance(content, list):
        content = [
            {"type": "text", "text": _ends(part.get("text") or "")}
            if part["type"] == "text"
            else {"type": part["type"][:_SHORT]}
            for part in content[-_MESSAGES:]
        ]
    elif content is not None:
        content = _ends(content)
    short = {"role": message["role"][:_SHORT], "content": content}
    calls = message.get("tool_calls")
    if calls and isinstance(calls[0].get("function"), dict):
        short["tool_calls"] = [{"function": {"name": str(calls[0]["function"].get("name"))[:_SHORT]}}]
    return short


def _ends(text: str) -> str:
    return text if len(text) <= 2 * _END else f"{text[:_END]}\n{text[-_END:]}"
