"""The judge: grades a share of the answers, after they went out and for a budget. Nobody waits for it. Of some the reference model
is asked the same request, and both answers are graded side by side, in an order that is drawn.

What is graded is held in memory until then, bounded, and never stored or logged. One judgement at a time: what it cost is in the
store, and what other gateways have spent is known, before the next one is asked for. Each call is reserved at the most that it can
cost, so that the budget of a day holds, across restarts and gateways, but for the judgements that other gateways are asking for at
the same moment.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from router_backend.bandits.query import doubt
from router_backend.config import RouterConfig
from router_backend.config.judge import JudgeConfig
from router_backend.core.background import kept
from router_backend.core.decision import RoutedDecision
from router_backend.core.ids import new_decision_id
from router_backend.core.jsonio import dump
from router_backend.core.judgement import Judgement
from router_backend.core.pricing import PER_TOKEN, answer_cost
from router_backend.core.records import JUDGE, Feedback, Outcome, Usage
from router_backend.core.signals import COMPARED_SIGNAL, JUDGE_SIGNAL
from router_backend.forwarding.answers import WholeAnswer
from router_backend.forwarding.failure import ForwardError
from router_backend.forwarding.request import ForwardRequest
from router_backend.gateway.comparing import asked_again, comparable, reference_of
from router_backend.gateway.keys.budgets import Budgets
from router_backend.gateway.metrics import Metrics
from router_backend.gateway.outcome_queue import OutcomeQueue
from router_backend.gateway.runtime import Runtime, Runtimes
from router_backend.gateway.score_queue import ScoreQueue
from router_backend.learning.grading import (
    FORMAT,
    PAIR_FORMAT,
    comparing_messages,
    grade_of,
    grades_of,
    grading_messages,
)
from router_backend.learning.reading import Reading, read_answer

_T = TypeVar("_T")
_WAITING = 64
_TEMPLATE_TOKENS = 200  # that a chat template may add to a prompt
_KNOWN_SECONDS = 5.0  # until what was spent is known
_PAUSE = 1.0  # seconds between looks, while there is no room or the budget is spent


@dataclass(frozen=True, slots=True)
class Graded:
    """An answer to be graded."""

    decision_id: str
    task: str
    arm: str  # that answered
    messages: Sequence[Mapping[str, Any]]
    text: str
    selected: float  # probability that it was chosen
    body: Mapping[str, Any] | None = None  # the request, where the reference model may be asked it, too


@dataclass(frozen=True, slots=True)
class Rival:
    """The reference model's answer to the same request, and its place."""

    arm: str
    text: str
    first: bool  # the answer that went out is shown first


class Dropped(Exception):
    """Nothing came of a judgement; the cause is its argument."""


def selection(judge: JudgeConfig, decision: RoutedDecision) -> float:
    """Probability that an answer of this decision is graded. It depends on what was known before the answer alone."""
    if not judge.models or decision.propensity is None:
        return 0.0
    return judge.share_of(decision.task, unsure(decision))


def unsure(decision: RoutedDecision) -> float:
    """From 0, the policy's best model is surely better than the next, to 1, both are alike: by the width of its bounds."""
    return doubt(list(decision.means.values()), [decision.bonuses.get(name, 0.0) for name in decision.means])


class Judge:
    """`add` returns at once; a task grades what waits, oldest first, and drops the oldest when too many do."""

    def __init__(
        self, runtimes: Runtimes, budgets: Budgets, outcomes: OutcomeQueue, scores: ScoreQueue, metrics: Metrics
    ) -> None:
        self._runtimes, self._budgets, self._outcomes = runtimes, budgets, outcomes
        self._scores, self._metrics = scores, metrics
        self.waiting: deque[Graded] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._draw = random.Random()

    def start(self) -> None:
        """Grade from now on, on the running loop."""
        self._task = asyncio.create_task(kept("judge", self._run, self._metrics.failed))

    def chosen(self, judge: JudgeConfig, decision: RoutedDecision) -> float:
        """Draw whether the answer of a decision will be graded: the probability that it had, or 0."""
        probability = selection(judge, decision)
        return probability if probability and self._draw.random() < probability else 0.0

    def compares(self, judge: JudgeConfig) -> bool:
        """Draw whether an answer that was chosen is graded beside the reference model's."""
        return self._draw.random() < judge.pairs.share

    def add(self, graded: Graded) -> None:
        """Queue an answer."""
        if len(self.waiting) >= _WAITING:
            self.waiting.popleft()
            self._metrics.judge_dropped.labels("queue").inc()
        self.waiting.append(graded)
        self._wake.set()

    async def aclose(self) -> None:
        """Stop; what waits is not graded."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            while self.waiting:
                runtime = self._runtimes.current
                if await self._may_ask(runtime.config):
                    with runtime:
                        await self._next(runtime)
                else:
                    await asyncio.sleep(_PAUSE)
            self._wake.clear()

    async def _may_ask(self, config: RouterConfig) -> bool:
        """Whether something is left of the day's budget, by what the store says now."""
        if not config.judge.models:
            self._metrics.judge_dropped.labels("off").inc(len(self.waiting))
            self.waiting.clear()
            return True
        if not await self._outcomes.refresh(_KNOWN_SECONDS):
            return False  # what was spent is not known
        if self._budgets.spent(JUDGE)[0] < config.judge.usd_per_day:
            return True
        self._metrics.judge_dropped.labels("budget").inc(len(self.waiting))
        self.waiting.clear()
        return True

    async def _next(self, runtime: Runtime) -> None:
        if not self.waiting:
            return
        graded, engine = self.waiting[0], runtime.engine
        arm, reference = self._pair(graded, runtime)
        if not arm or engine.health().get(arm) == "open":
            self.waiting.popleft()
            self._metrics.judge_dropped.labels("no_judge").inc()
            return
        if not all(engine.spare(asked) for asked in (arm, reference) if asked):
            await asyncio.sleep(_PAUSE)  # its places are for clients
            return
        self.waiting.popleft()
        try:
            if reference:
                await self._compare(graded, arm, await self._rival(graded, reference, runtime), runtime)
            else:
                await self._grade(graded, arm, runtime)
        except Dropped as dropped:
            self._metrics.judge_dropped.labels(*dropped.args).inc()

    @staticmethod
    def _pair(graded: Graded, runtime: Runtime) -> tuple[str, str]:
        """(the model that grades, the one that is asked the same; empty: none)."""
        judge, reference = runtime.config.judge, reference_of(runtime.config)
        if graded.body is not None and reference != graded.arm and runtime.engine.health().get(reference) != "open":
            arm = judge.grader(graded.arm, reference)
            if arm:
                return arm, reference
        return judge.grader(graded.arm), ""

    async def _grade(self, graded: Graded, arm: str, runtime: Runtime) -> None:
        rubrics = runtime.config.judge.rubrics
        question = grading_messages(graded.messages, graded.text, graded.task, rubrics)
        reply, _ = await self._ask(arm, self._question(question, FORMAT, runtime.config, arm), graded.task, runtime)
        grade = grade_of(reply.text)
        if grade is None:
            raise Dropped("unreadable")
        self._score(graded, JUDGE_SIGNAL, grade, Judgement(judge=arm, characters=len(graded.text)))

    async def _rival(self, graded: Graded, reference: str, runtime: Runtime) -> Rival:
        asked = graded.body or {}
        body = asked_again(asked, runtime.config)
        reading, finish_reason = await self._ask(reference, body, graded.task, runtime)
        if not comparable(reading, finish_reason, asked, runtime.config):
            raise Dropped("no_answer")
        return Rival(reference, reading.text, self._draw.random() < 0.5)

    async def _compare(self, graded: Graded, arm: str, rival: Rival, runtime: Runtime) -> None:
        rubrics, shown = runtime.config.judge.rubrics, (graded.text, rival.text)
        question = comparing_messages(graded.messages, *_placed(shown, rival.first), graded.task, rubrics)
        reply, _ = await self._ask(
            arm, self._question(question, PAIR_FORMAT, runtime.config, arm), graded.task, runtime
        )
        grades = grades_of(reply.text)
        if grades is None:
            raise Dropped("unreadable")
        grade, other = _placed(grades, rival.first)
        better = "neither" if grade == other else "answer" if grade > other else "reference"
        self._metrics.judge_compared.labels(graded.arm, better).inc()
        judgement = Judgement(
            judge=arm,
            characters=len(graded.text),
            reference=rival.arm,
            reference_characters=len(rival.text),
            reference_score=other,
            first=rival.first,
        )
        self._score(graded, COMPARED_SIGNAL, grade, judgement)

    def _score(self, graded: Graded, source: str, grade: float, judgement: Judgement) -> None:
        self._metrics.judge_graded.labels(judgement.judge, graded.task).inc()
        feedback = Feedback(
            decision_id=graded.decision_id,
            received=time.time(),
            score=grade,
            implicit=source,
            tags=judgement.tags(),
            selected=graded.selected,
        )
        self._scores.add(feedback)

    async def _ask(self, arm: str, body: dict[str, Any], task: str, runtime: Runtime) -> tuple[Reading, str]:
        """(the answer of a model, why it ended), paid from the day's budget.

        Raises:
            Dropped: the budget has no room for it, or there is no answer.
        """
        config = runtime.config
        most = self._most(body, config, arm)
        if self._budgets.spent(JUDGE)[0] + most > config.judge.usd_per_day:
            raise Dropped("budget")
        request = ForwardRequest(body=body, arms=(arm,), named=True, task=task, client=JUDGE)
        usage, cost = Usage(), most  # what isn't known has cost the most that it can
        try:
            async with asyncio.timeout(config.judge.timeout_seconds):
                answer = await runtime.engine.forward(request)
            assert isinstance(answer, WholeAnswer)
            if answer.progress.usage_known:
                usage = answer.progress.usage
                price = config.model(arm).price
                cost = answer_cost(price, usage) + sum(answer_cost(price, spent.usage) for spent in request.spent)
        except TimeoutError:
            raise Dropped("timeout") from None
        except ForwardError as error:
            if not error.tried:
                cost = 0.0
            raise Dropped("failed") from None
        finally:
            self._paid(arm, usage, cost)
        return read_answer([answer.body], streamed=False, native=False), answer.progress.finish_reason

    @staticmethod
    def _question(
        messages: list[dict[str, str]], shape: dict[str, Any], config: RouterConfig, arm: str
    ) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": arm,
            "messages": messages,
            "max_tokens": config.judge.max_tokens,
            "temperature": 0,
        }
        if "json" in config.model(arm).capabilities:
            body["response_format"] = shape
        return body

    @staticmethod
    def _most(body: dict[str, Any], config: RouterConfig, arm: str) -> float:
        """USD that a call costs at most: no token is shorter than a byte, and each try is paid for."""
        price, prompt = config.model(arm).price, len(dump(body)) + _TEMPLATE_TOKENS
        answer = int(body.get("max_completion_tokens") or body["max_tokens"])
        highest = (
            max(price.input, price.cached_input or 0.0, price.cache_write or 0.0),
            max(price.output, price.reasoning or 0.0),
        )
        usd = PER_TOKEN * (prompt * highest[0] + answer * highest[1])
        return usd * config.retries.attempts

    def _paid(self, arm: str, usage: Usage, cost: float) -> None:
        """Enter what a call has cost; no answer to a client, so it has no end of its own that would teach."""
        self._metrics.judge_usd.labels(arm).inc(cost)
        outcome = Outcome(
            decision_id=new_decision_id(),
            completed=time.time(),
            served=arm,
            status=200,
            usage=usage,
            cost=cost,
            key=JUDGE,
        )
        self._budgets.spend(outcome)
        self._outcomes.outcome(outcome)


def _placed(pair: tuple[_T, _T], in_order: bool) -> tuple[_T, _T]:
    """A pair as it is shown; of what was said about the pair shown, the pair itself."""
    return pair if in_order else (pair[1], pair[0])
