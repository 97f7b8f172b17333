"""`/v1/feedback`: a score for an answer. 200 means that it is durable and says the reward that was learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from router_backend.contract import TASKS
from router_backend.gateway.http.errors import ApiError
from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.schemas import FeedbackBody, parse
from router_backend.gateway.triton_client import TritonError

if TYPE_CHECKING:
    from router_backend.gateway.service import Gateway, Handler

_CALL_SECONDS = 5.0
_WAIT_SECONDS = 2.0
_MAX_TAGS = 4096


def routes(gateway: Gateway) -> dict[tuple[str, str], Handler]:
    async def feedback(exchange: Exchange) -> None:
        runtime = gateway.runtime
        runtime.keys.admit(exchange, "feedback")
        body = parse(await exchange.body(64 * 1024, runtime.config.gateway.body_seconds), FeedbackBody)
        decision_id, tags = body["decision_id"], body.get("tags")
        _check(body.keys() - FeedbackBody.__struct_fields__ == set(), "", f"Unknown fields; known: {_FIELDS}")
        _check(0 < len(decision_id) <= 64, "decision_id", "'decision_id' must be the id of a decision")
        _check(0 <= body["score"] <= 1, "score", "'score' must be between 0 and 1")
        cost, task = body.get("cost_usd"), body.get("task") or ""
        _check(cost is None or 0 <= cost <= 1e6, "cost_usd", "'cost_usd' must be 0 or more")
        _check(not task or task in TASKS, "task", f"'task' must be one of {', '.join(TASKS)}")
        tags_json = orjson.dumps(tags).decode() if tags else ""
        _check(len(tags_json) <= _MAX_TAGS, "tags", f"'tags' must fit in {_MAX_TAGS} bytes of JSON")
        exchange.log["decision_id"] = decision_id
        await gateway.reporter.settled(decision_id, _WAIT_SECONDS)
        try:
            reward = await gateway.triton.feedback(decision_id, body["score"], cost, task, tags_json, _CALL_SECONDS)
        except TritonError as error:
            raise _refused(gateway, error) from None
        gateway.metrics.feedback.labels("accepted").inc()
        gateway.metrics.reward.observe(reward)
        await exchange.json({"object": "feedback", "decision_id": decision_id, "accepted": True, "reward": reward})

    return {("POST", "/v1/feedback"): feedback}


_FIELDS = ", ".join(FeedbackBody.__struct_fields__)


def _check(fine: bool, param: str, message: str) -> None:
    if not fine:
        raise ApiError(400, message, code="invalid_value", param=param or None)


def _refused(gateway: Gateway, error: TritonError) -> ApiError:
    if error.code == "NOT_FOUND":
        gateway.metrics.feedback.labels("unknown_decision").inc()
        message = "No decision with this id: never made, not yet stored, or past its retention"
        return ApiError(404, message, code="decision_not_found", param="decision_id")
    if error.code == "INVALID_ARGUMENT":
        gateway.metrics.feedback.labels("refused").inc()
        return ApiError(400, error.message, code="invalid_value")
    gateway.metrics.feedback.labels("unavailable").inc()
    return ApiError(
        503,
        f"Feedback can't be stored now ({error.cause}); send it again later",
        type="server_error",
        code="feedback_unavailable",
        retry_after=1,
    )
