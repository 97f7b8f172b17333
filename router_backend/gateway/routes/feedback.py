"""`/v1/feedback`: a score for an answer. 200 means that it is durable and says the reward that was learned."""

from __future__ import annotations

import orjson

from router_backend.gateway.http.errors import ApiError
from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.memory import Decisions
from router_backend.gateway.metrics import Metrics
from router_backend.gateway.outcome_queue import OutcomeQueue
from router_backend.gateway.router_host import HostError, Owner, RouterHost
from router_backend.gateway.runtime import Runtimes
from router_backend.gateway.schemas import FeedbackBody, parse
from router_backend.gateway.workers.siblings import Siblings
from router_backend.learning.outcome import highest_cost

_CALL_SECONDS = 5.0
_WAIT_SECONDS = 2.0
_MAX_BYTES = 64 * 1024
_MAX_TAGS = 4096
_FIELDS = ", ".join(FeedbackBody.__struct_fields__)


class FeedbackHandler:
    """POST of one score."""

    def __init__(
        self,
        runtimes: Runtimes,
        router: RouterHost,
        outcomes: OutcomeQueue,
        decisions: Decisions,
        metrics: Metrics,
        siblings: Siblings | None,
    ) -> None:
        self._siblings = siblings
        self._runtimes, self._router, self._outcomes, self._metrics = runtimes, router, outcomes, metrics
        self._decisions = decisions

    async def __call__(self, exchange: Exchange) -> None:
        runtime = self._runtimes.current
        key = runtime.keys.admit(exchange, "feedback")
        seconds = runtime.config.gateway.body_seconds
        body = parse(await exchange.body(_MAX_BYTES, seconds, "the limit of feedback"), FeedbackBody)
        decision_id, tags = body["decision_id"], body.get("tags")
        _check(body.keys() - FeedbackBody.__struct_fields__ == set(), "", f"Unknown fields; known: {_FIELDS}")
        _check(0 < len(decision_id) <= 64, "decision_id", "'decision_id' must be the id of a decision")
        _check(0 <= body["score"] <= 1, "score", "'score' must be between 0 and 1")
        cost, task = body.get("cost_usd"), body.get("task") or ""
        _check(cost is None or 0 <= cost <= 1e6, "cost_usd", "'cost_usd' must be between 0 and 1000000")
        tasks = runtime.config.known_tasks
        _check(not task or task in tasks, "task", f"'task' must be one of {', '.join(tasks)}")
        tags_json = orjson.dumps(tags).decode() if tags else ""
        _check(len(tags_json) <= _MAX_TAGS, "tags", f"'tags' must fit in {_MAX_TAGS} bytes of JSON")
        exchange.log["decision_id"] = decision_id
        await self._outcomes.settled(decision_id, _WAIT_SECONDS)
        known, waits = self._decisions.find(decision_id), self._outcomes.waits(decision_id)
        if not known and not waits and self._siblings:
            known, waits = await self._siblings.decision(decision_id, _WAIT_SECONDS)
        scores_all = key is not None and "feedback_any" in key.scopes
        if known and known.key != exchange.key and not scores_all:
            self._metrics.feedback.labels("unknown_decision").inc()
            raise _unknown()  # whose it is is nobody else's business
        highest = highest_cost(runtime.config, known.outcome if known else None)
        message = (
            f"'cost_usd' is more than this answer can have cost: at most {highest:.6g} USD; where answers cost more than "
            "by the models' prices, set gateway.feedback_cost_usd"
        )
        _check(cost is None or cost <= highest, "cost_usd", message)
        try:
            owner = Owner(exchange.key, scores_all)
            scored = await self._router.feedback(
                decision_id, body["score"], cost, task, tags_json, owner, _CALL_SECONDS
            )
        except HostError as error:
            if error.code == "NOT_FOUND" and (waits or self._outcomes.waits(decision_id)):
                error = HostError("its decision waits for the store")
            result, refusal = _refusal(error)
            self._metrics.feedback.labels(result).inc()
            raise refusal from None
        if known and task and known.decision.task:
            exchange.log["task_correct"] = known.decision.task == task
        self._metrics.feedback.labels("accepted").inc()
        self._metrics.reward.observe(scored.reward)
        await exchange.json({"object": "feedback", "decision_id": decision_id, "accepted": True, **scored._asdict()})


def _unknown() -> ApiError:
    message = "No decision with this id: never made, not yet stored, past its retention, or another key's"
    return ApiError(404, message, code="decision_not_found", param="decision_id")


def _check(fine: bool, param: str, message: str) -> None:
    if not fine:
        raise ApiError(400, message, code="invalid_value", param=param or None)


def _refusal(error: HostError) -> tuple[str, ApiError]:
    """The metric's word for it, and what the client is told."""
    if error.code == "NOT_FOUND":
        return "unknown_decision", _unknown()
    if error.code == "INVALID_ARGUMENT":
        return "refused", ApiError(400, error.message, code="invalid_value")
    message = f"Feedback can't be stored now ({error.cause}); send it again later"
    if error.code == "UNAVAILABLE":  # the store's own words say what to do
        message = f"Feedback can't be stored now: {error.message.partition(' (retry-after')[0]}"
    unavailable = ApiError(503, message, type="server_error", code="feedback_unavailable", retry_after=1)
    return "unavailable", unavailable
