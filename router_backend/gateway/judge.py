"""The judge: grades a share of the answers, after they went out and for a budget. Nobody waits for it.

What is graded is held in memory until then, bounded, and never stored or logged. One judgement at a time: what it cost is in the
store, and what other gateways have spent is known, before the next one is asked for. Each is reserved at the most that it can
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
from typing import Any

from router_backend.bandits.query import doubt
from router_backend.config import RouterConfig
from router_backend.config.judge import JudgeConfig
from router_backend.core.background import kept
from router_backend.core.decision import RoutedDecision
from router_backend.core.ids import new_decision_id
from router_backend.core.jsonio import dump
from router_backend.core.pricing import PER_TOKEN, answer_cost
from router_backend.core.records import JUDGE, Feedback, Outcome, Usage
from router_backend.forwarding.answers import WholeAnswer
from router_backend.forwarding.failure import ForwardError
from router_backend.forwarding.request import ForwardRequest
from router_backend.gateway.keys.budgets import Budgets
from router_backend.gateway.metrics import Metrics
from router_backend.gateway.outcome_queue import OutcomeQueue
from router_backend.gateway.runtime import Runtime, Runtimes
from router_backend.gateway.score_queue import ScoreQueue
from router_backend.learning.grading import FORMAT, grade_of, grading_messages
from router_backend.learning.reading import read_answer

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
        config, engine = runtime.config, runtime.engine
        arm = config.judge.grader(self.waiting[0].arm)
        if not arm or engine.health().get(arm) == "open":
            self.waiting.popleft()
            self._metrics.judge_dropped.labels("no_judge").inc()
            return
        if not engine.spare(arm):
            await asyncio.sleep(_PAUSE)  # its places are for clients
            return
        graded = self.waiting.popleft()
        body = self._question(graded, config, arm)
        most = self._most(body, config, arm)
        if self._budgets.spent(JUDGE)[0] + most > config.judge.usd_per_day:
            self._metrics.judge_dropped.labels("budget").inc()
            return
        await self._grade(graded, body, most, arm, runtime)

    async def _grade(self, graded: Graded, body: dict[str, Any], most: float, arm: str, runtime: Runtime) -> None:
        request = ForwardRequest(body=body, arms=(arm,), named=True, task=graded.task, client=JUDGE)
        usage, cost, grade = Usage(), most, None  # what isn't known has cost the most that it can
        try:
            async with asyncio.timeout(runtime.config.judge.timeout_seconds):
                answer = await runtime.engine.forward(request)
            assert isinstance(answer, WholeAnswer)
            if answer.progress.usage_known:
                usage = answer.progress.usage
                price = runtime.config.model(arm).price
                cost = answer_cost(price, usage) + sum(answer_cost(price, spent.usage) for spent in request.spent)
            grade = grade_of(read_answer([answer.body], streamed=False, native=False).text)
            cause = "unreadable"
        except TimeoutError:
            cause = "timeout"
        except ForwardError as error:
            cause = "failed"
            if not error.tried:
                cost = 0.0
        finally:
            self._paid(arm, usage, cost)
        if grade is None:
            self._metrics.judge_dropped.labels(cause).inc()
            return
        self._metrics.judge_graded.labels(arm, graded.task).inc()
        self._scores.add(
            Feedback(
                decision_id=graded.decision_id,
                received=time.time(),
                score=grade,
                implicit="judge",
                selected=graded.selected,
            )
        )

    @staticmethod
    def _question(graded: Graded, config: RouterConfig, arm: str) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": arm,
            "messages": grading_messages(graded.messages, graded.text, graded.task, config.judge.rubrics),
            "max_tokens": config.judge.max_tokens,
            "temperature": 0,
        }
        if "json" in config.model(arm).capabilities:
            body["response_format"] = FORMAT
        return body

    @staticmethod
    def _most(body: dict[str, Any], config: RouterConfig, arm: str) -> float:
        """USD that a judgement costs at most: no token is shorter than a byte, and each try is paid for."""
        price, prompt = config.model(arm).price, len(dump(body)) + _TEMPLATE_TOKENS
        highest = max(price.input, price.cached_input or 0.0), max(price.output, price.reasoning or 0.0)
        usd = PER_TOKEN * (prompt * highest[0] + config.judge.max_tokens * highest[1])
        return usd * config.retries.attempts

    def _paid(self, arm: str, usage: Usage, cost: float) -> None:
        """Enter what a judgement has cost; no answer, so it has no end of its own that would teach."""
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
