"""The step that learns: scores, and the records, stored responses, rates, leases and questions of the console that gateways send.
What it accepts is durable."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from router_backend.bandits.rewards import build_reward
from router_backend.config import RouterConfig
from router_backend.core import seal
from router_backend.core.ids import decided_at
from router_backend.core.records import Bound, Feedback, FeedbackResult, Scored
from router_backend.core.tracing import PARENT, STATE
from router_backend.learning.outcome import highest_cost
from router_backend.learning.progress import Furthest
from router_backend.state import console, leases, rates, responses
from router_backend.state.checks import check_records
from router_backend.state.codec import decode_records
from router_backend.state.credit import check_feedback
from router_backend.state.inflight import add_feedback_many_waiting
from router_backend.state.spend import BEHIND, NEWS, periods
from router_backend.state.store import StoreError, UnknownDecision
from router_backend.steps.deployment import Deployment
from router_backend.steps.dialect import InvalidInput, check_known
from router_backend.steps.found import Found
from router_backend.steps.metrics import FeedbackMetrics, Instruments
from router_backend.steps.refusal import Refused

log = logging.getLogger(__name__)
_PARAMETERS = frozenset((seal.SEAL, seal.OWNER, seal.ANY_OWNER, PARENT, STATE))
_REQUIRED = "decision_id and score are required (or records alone)"
_ROUNDING = 1 + 1e-6  # costs come as FP32


class _NotSealed(Exception):
    """Records of somebody who has no key."""


class _NotTheirs(Exception):
    """A decision of another API key."""


class Sent(Protocol):
    """A request, read when it is answered: what can't be read is that request's error alone."""

    def rows(self) -> list[dict[str, Any]]:
        """Each row's inputs of `feedback` by name."""

    def parameters(self) -> dict[str, Any]: ...


@dataclass(slots=True)
class Score:
    """A row that gives a score to a decision."""

    feedback: Feedback
    reward: float | Refused = math.nan  # that was learned
    counted: float = math.nan  # the score that counts: this one, or that of the decision's first feedback
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Records:
    """A row of decisions and outcomes, which are in the store by now."""

    spend: bytes  # JSON: USD by key, by period; the gateway's budgets follow from it


@dataclass(frozen=True, slots=True)
class Told:
    """A row about a stored response, rates, a lease or the console's question, which is done by now."""

    told: bytes  # see state.responses, state.rates, state.leases and state.console


Row = Score | Records | Told


class Scorer:
    """Of one deployment; threads may share it."""

    def __init__(self, deployment: Deployment, key: str, instruments: Instruments) -> None:
        """`key` seals what gateways tell; empty: everybody may."""
        self._deployment, self._key = deployment, key
        self._furthest = Furthest(deployment.store)
        self._metrics = FeedbackMetrics(instruments)
        self._found = Found(deployment)
        self.reload(deployment.config)

    def reload(self, config: RouterConfig) -> None:
        """Tell rewards by another configuration."""
        self._rewards = {name: build_reward(policy.reward) for name, policy in config.named_policies().items()}

    def answer(self, requests: Sequence[Sent]) -> list[list[Row] | Refused]:
        """What became of each request: its rows in their order, or why it is refused as a whole.

        Scores of all requests are one commit: durability costs a sync of the disk, not one a score.
        """
        batch = [self._read(request) for request in requests]
        self._write([row for rows in batch if isinstance(rows, list) for row in rows if isinstance(row, Score)])
        return [self._answered(rows) for rows in batch]

    def score(self, request: Sent) -> Scored:
        """What became of a request of one score.

        Raises:
            Refused: it was not taken.
        """
        row = self._one(request)
        assert isinstance(row, Score)
        assert not isinstance(row.reward, Refused)
        return Scored(row.reward, row.counted, row.duplicate)

    def tell(self, request: Sent) -> bytes:
        """The answer to a request of one row of records or of a question.

        Raises:
            Refused: it was not taken.
        """
        row = self._one(request)
        assert not isinstance(row, Score)
        return row.spend if isinstance(row, Records) else row.told

    def _one(self, request: Sent) -> Row:
        (answer,) = self.answer([request])
        if isinstance(answer, Refused):
            raise answer
        (row,) = answer
        return row

    def _answered(self, rows: list[Row] | Refused) -> list[Row] | Refused:
        if isinstance(rows, list):
            rows = next(
                (row.reward for row in rows if isinstance(row, Score) and isinstance(row.reward, Refused)), rows
            )
        if isinstance(rows, Refused):
            self._metrics.refused(rows.code)
        return rows

    def _read(self, sent: Sent) -> list[Row] | Refused:
        """The rows of a request, or why it is refused as a whole. Records and responses are stored here."""
        try:
            given = sent.parameters()
            check_known(given, _PARAMETERS)
            found = [self._row(row, given) for row in sent.rows()]
            if not found:
                raise InvalidInput(_REQUIRED)
            return found
        except (InvalidInput, ValueError) as error:
            return Refused("INVALID_ARGUMENT", str(error))
        except _NotTheirs as error:
            return Refused("NOT_FOUND", str(error))
        except _NotSealed as error:  # a gateway that waits for its key must not throw outcomes away
            return Refused("UNAVAILABLE", str(error))
        except StoreError as error:
            self._metrics.stored(False)
            return _unavailable(error)
        except Exception as error:  # of this request alone; the others are answered
            log.exception("a request could not be read")
            return Refused("INTERNAL", f"{type(error).__name__}; see the server's log")

    def _row(self, row: dict[str, Any], given: dict[str, Any]) -> Row:
        for name, take in (
            ("records", self._store_records),
            ("responses", self._answer_response),
            ("rates", self._draw),
            ("leases", self._lease),
            ("console", self._answer_console),
        ):
            if name in row:
                if self._key and not seal.is_sealed(given.get(seal.SEAL), self._key, row[name]):
                    raise _NotSealed(
                        f"{name} are taken with the seal of this server's {seal.KEY}: set the same for both"
                    )
                return take(row[name])
        feedback = _feedback(row, self._deployment.config.known_tasks)
        check_feedback(feedback)
        self._check_owner(feedback, given)
        return Score(feedback)

    def _check_owner(self, feedback: Feedback, given: dict[str, Any]) -> None:
        """An answer that an API key paid for is scored by that key, at a gateway; and none has cost any sum that is said.

        Raises:
            InvalidInput: a cost that the answer can't have had.
            _NotTheirs: the decision is another key's.
        """
        if not self._key and feedback.cost is None:
            return
        outcome = self._deployment.store.outcome(feedback.decision_id)
        if self._key and outcome is not None and outcome.key:
            key, everyone = (str(given.get(name, "")) for name in (seal.OWNER, seal.ANY_OWNER))
            theirs = bool(everyone) or key == outcome.key
            if not theirs or not seal.is_sealed(given.get(seal.SEAL), self._key, feedback.decision_id, key, everyone):
                raise _NotTheirs(f"no decision {feedback.decision_id!r} of yours: its API key scores it, at a gateway")
        highest = highest_cost(self._deployment.config, outcome)
        if feedback.cost is not None and feedback.cost > highest * _ROUNDING:
            raise InvalidInput(
                f"cost_usd {feedback.cost:g} is more than this answer can have cost: at most {highest:.6g} USD; where"
                " answers cost more than by the models' prices, set gateway.feedback_cost_usd"
            )

    def _store_records(self, text: str) -> Records:
        store = self._deployment.store
        decisions, outcomes, scores = decode_records(text)
        check_records(decisions, outcomes, scores, time.time())
        if decisions or outcomes:
            store.append(decisions, outcomes)
            self._metrics.stored(True)
        for outcome in outcomes:
            self._deployment.implicit.outcome(outcome)
        for score in scores:
            self._deployment.implicit.add(score)
        spend: dict[str, Any] = {period: store.spend(period) for period in periods(time.time())}
        return Records(orjson.dumps({**spend, NEWS: {BEHIND: self._furthest.events()}}))

    def _answer_response(self, text: str) -> Told:
        """Each is a commit of its own: they are few, and large."""
        asked = responses.decode_asked(text)
        config = self._deployment.config.responses
        bound = Bound(config.max_per_key, config.max_bytes_per_key) if config.store else None
        told = responses.answer(self._deployment.store, asked, bound)
        return Told(told)

    def _draw(self, text: str) -> Told:
        asked = rates.decode_draw(text)
        return Told(rates.encode(self._deployment.store.draw(asked.gateway, asked.uses)))

    def _lease(self, text: str) -> Told:
        return Told(leases.answer(self._deployment.store, leases.decode(text)))

    def _answer_console(self, text: str) -> Told:
        asked = console.decode_question(text)
        if isinstance(asked, console.Changes):
            return Told(self._found.told())
        prices = {model.name: model.price for model in self._deployment.config.models}
        return Told(console.answer(self._deployment.store, asked, prices))

    def _write(self, scores: list[Score]) -> None:
        """Store the scores, and set the reward of each."""
        if not scores:
            return
        try:
            results = add_feedback_many_waiting(self._deployment.store, [score.feedback for score in scores])
            self._metrics.stored(True)
        except StoreError as error:
            self._metrics.stored(False)
            refused = _unavailable(error)
            for score in scores:
                score.reward = refused
            return
        for score, result in zip(scores, results, strict=True):
            if isinstance(result, UnknownDecision) and self._may_wait(score.feedback.decision_id):
                score.reward = _unavailable(
                    StoreError("it takes no decisions, and this one may be among those that wait")
                )
            elif isinstance(result, UnknownDecision):
                reason = f"no decision {score.feedback.decision_id!r}: never made, or past its retention"
                score.reward = Refused("NOT_FOUND", reason)
            else:
                score.reward = self._count(score.feedback, result)
                score.counted, score.duplicate = result.quality, result.duplicate

    def _may_wait(self, decision_id: str) -> bool:
        """Whether it may be a decision that a router keeps in memory until the store takes it."""
        return decided_at(decision_id) is not None and self._deployment.backlog.held()

    def _count(self, feedback: Feedback, result: FeedbackResult) -> float:
        decision = result.decision
        # By the policy that chose, at the cost weight that it chose by: this process knows neither what has been spent
        # nor what was expected meanwhile.
        rule = self._rewards.get(decision.policy, self._rewards[""])
        reward = rule.realised(result.quality, result.cost, decision.expected_cost, decision.cost_weight)
        self._metrics.accepted(
            result.arm, decision.task or "none", decision.policy_version, result.quality, reward, result.duplicate
        )
        if feedback.task and decision.task and not result.duplicate:
            self._metrics.labelled(decision.task, feedback.task)
        return reward


def _unavailable(error: StoreError) -> Refused:
    log.error("feedback can't be stored now: %s", error)
    return Refused(
        "UNAVAILABLE", f"the state store can't take feedback now, send it again later: {error} (retry-after: 1)"
    )


def _feedback(row: dict[str, Any], tasks: Sequence[str]) -> Feedback:
    if not row.get("decision_id") or "score" not in row:
        raise InvalidInput(_REQUIRED)
    task = row.get("task", "")
    if task and task not in tasks:
        raise InvalidInput(f"unknown task {task!r}; tasks are {', '.join(tasks)}")
    return Feedback(
        decision_id=row["decision_id"],
        received=time.time(),
        score=float(row["score"]),
        cost=float(row["cost_usd"]) if "cost_usd" in row else None,
        task=task,
        tags=row.get("tags", ""),
    )
