"""Which lines may go to their model's own Batch API, and as what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from router_backend.config import RouterConfig
from router_backend.config.models import BedrockUpstream, ModelConfig
from router_backend.core.jsonio import dump
from router_backend.core.pricing import answer_cost
from router_backend.core.records import Usage
from router_backend.forwarding.cascade.choice import cascade_of
from router_backend.forwarding.failure import Failure
from router_backend.forwarding.upstreams.batches.rows import CONVERSE
from router_backend.forwarding.upstreams.bedrock.request import converse_body, without_cache_points
from router_backend.forwarding.upstreams.body import arm_body, native_body
from router_backend.gateway.completion import forwarded
from router_backend.gateway.plan import Plan
from router_backend.gateway.request import CompletionRequest

_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
_BYTES_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Batchable:
    """A request as an upstream's Batch API takes it."""

    plan: Plan
    endpoint: str  # `/v1/...`, of the upstream, or `rows.CONVERSE`
    body: bytes
    usd: float  # that it is expected to cost there

    @property
    def arm(self) -> str:
        """The model that answers."""
        return self.plan.arms[0]


def batchable(request: CompletionRequest, plan: Plan, config: RouterConfig) -> Batchable | None:
    """None: its model has no such API, a cascade may have to ask several models, or what it says is said in headers."""
    arm = plan.arms[0]
    model = config.model(arm) if arm in config.names else None
    if model is None or model.batch is None or cascade_of(config, plan.decision.policy, plan.decision.reason):
        return None
    forward, native = forwarded(request, plan, {}), request.native
    upstream = model.upstream
    if isinstance(upstream, BedrockUpstream):
        if request.endpoint != "chat/completions" or (native and native.refusal):
            return None
        body = arm_body(model, forward)
        said = _converse(model.name, upstream, body)
        return Batchable(plan, CONVERSE, said, _expected(plan, model, body, len(said))) if said else None
    if native and model.speaks(native.endpoint):
        if native.endpoint == "messages":
            return None
        endpoint: str = native.endpoint
        body = native_body(model, forward, native)
    elif native and native.refusal:
        return None
    else:
        endpoint, body = request.endpoint, arm_body(model, forward)
    named = getattr(model.upstream, "model", None) or model.name
    try:
        data = dump({**body, "model": named})
    except (RecursionError, ValueError):
        return None  # whoever calls it says what is wrong
    return Batchable(plan, f"/v1/{endpoint}", data, _expected(plan, model, body, len(data)))


def _converse(arm: str, upstream: BedrockUpstream, body: dict[str, Any]) -> bytes | None:
    """None: Bedrock can't say it; whoever calls the model says why. Caches aren't marked: nobody knows which request comes first."""
    try:
        return dump(without_cache_points(converse_body(arm, upstream, body)))
    except (Failure, RecursionError, ValueError):
        return None


def _expected(plan: Plan, model: ModelConfig, body: dict[str, object], size: int) -> float:
    """By the router's expectation; where it had none, by the request's length and its limit of tokens."""
    assert model.batch
    known = plan.decision.expected_cost.get(model.name)
    if known is None:
        prompt = size // _BYTES_PER_TOKEN
        limits = [limit for name in _LIMITS if isinstance(limit := body.get(name), int) and limit > 0]
        known = answer_cost(model.price, Usage(prompt=prompt, completion=min(limits, default=prompt)))
    return model.batch.price_share * known
