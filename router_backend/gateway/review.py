"""Looks at answers after they went out, for the signals that `implicit` in `router.yaml` gives a score, and for the judge.

A copy of the answer is held in memory until one thread has looked at it: never stored, never logged, and bounded. Nobody waits.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import orjson

from router_backend.config import RouterConfig
from router_backend.config.signals import ImplicitSignals
from router_backend.core.background import kept
from router_backend.core.decision import RoutedDecision
from router_backend.core.records import Feedback
from router_backend.forwarding.answers import Answer, Copy, WholeAnswer
from router_backend.forwarding.progress import Progress
from router_backend.gateway.comparing import may_be_compared
from router_backend.gateway.judge import Graded, Judge
from router_backend.gateway.memory import Recent
from router_backend.gateway.metrics import Metrics
from router_backend.gateway.plan import Plan
from router_backend.gateway.request import CompletionRequest
from router_backend.gateway.score_queue import ScoreQueue
from router_backend.learning.reactions import reaction
from router_backend.learning.reading import ANSWER_BYTES, Reading, read_answer
from router_backend.learning.signals import checked, signals_in
from router_backend.prompts.loop import failed_calls
from router_backend.prompts.messages import text_of

HELD_BYTES = 64 * 1024 * 1024
"""Of all requests and answers together that are held."""
_WAITING = 256
_REMEMBERED = 10_000  # calls of tools, and sessions
_log = logging.getLogger("llm_router.gateway")


@dataclass(slots=True)
class Watch:
    """One answer that is looked at: while it is sent, and until that is done."""

    decision: RoutedDecision
    request: CompletionRequest
    signals: ImplicitSignals
    copy: Copy
    held: int  # bytes of the room
    streamed: bool
    native: bool
    selected: float  # probability with which the judge was given it; 0: it was not
    compared: bool = False  # with the reference model's, by the judge
    arm: str = ""  # that answered
    finish_reason: str = ""

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        """Of the conversation; none of a text completion."""
        return self.request.body.get("messages") or ()


class Reviewer:
    """`begin` before an answer is sent, `end` after it. One task and one thread do the rest."""

    def __init__(self, scores: ScoreQueue, judge: Judge, metrics: Metrics) -> None:
        self._scores, self._judge, self._metrics = scores, judge, metrics
        self._waiting: deque[Watch] = deque()
        self._wake = asyncio.Event()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="review")
        self._task: asyncio.Task[None] | None = None
        self.held = 0  # bytes
        # Only the worker's thread touches these.
        self._calls: Recent[bytes, str] = Recent(_REMEMBERED)  # decision by call
        self._answers: Recent[bytes, str] = Recent(_REMEMBERED)  # decision by answer
        self._conversations: Recent[bytes, tuple[bytes, str]] = Recent(_REMEMBERED)  # (digest, decision) by session

    def start(self) -> None:
        """Look at answers from now on, on the running loop."""
        self._task = asyncio.create_task(kept("review", self._run, self._metrics.failed))

    def begin(self, request: CompletionRequest, plan: Plan, answer: Answer, config: RouterConfig) -> Watch | None:
        """What the answer will be copied to while it is sent; None: it is not looked at. Give it to `end`."""
        if plan.kind != "routed":
            return None
        selected = self._judge.chosen(config.judge, plan.decision) if "messages" in request.body else 0.0
        if not selected and not _looked_at(request, config.implicit):
            return None
        limit = min(ANSWER_BYTES, HELD_BYTES - self.held) - request.size
        if limit <= 0:
            self._metrics.reviews_dropped.inc()
            return None
        copy, streamed = Copy(limit), not isinstance(answer, WholeAnswer)
        if isinstance(answer, WholeAnswer):
            copy.add([answer.body])
        else:
            answer.copy = copy
        watch = Watch(
            plan.decision, request, config.implicit, copy, request.size + limit, streamed, answer.native, selected
        )
        if selected and may_be_compared(request, plan.decision, config):
            watch.compared = self._judge.compares(config.judge)
        self.held += watch.held
        return watch

    def end(self, watch: Watch | None, progress: Progress) -> None:
        """The answer was sent, or nobody reads it any more."""
        if watch is None:
            return
        complete = progress.status == 200 and progress.error is None and bool(progress.finish_reason)
        if not (complete and watch.copy.whole):
            self._let_go(watch)
            self._metrics.reviews_dropped.inc(complete)
            return
        self.held -= watch.copy.limit - watch.copy.size
        watch.held -= watch.copy.limit - watch.copy.size
        watch.arm, watch.finish_reason = progress.arm, progress.finish_reason
        self._waiting.append(watch)
        if len(self._waiting) > _WAITING:
            self._let_go(self._waiting.popleft())
            self._metrics.reviews_dropped.inc()
        self._wake.set()

    async def aclose(self) -> None:
        """Stop; what waits is not looked at."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _let_go(self, watch: Watch) -> None:
        self.held -= watch.held

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                watch = self._waiting.popleft()
                try:
                    found, reading = await loop.run_in_executor(self._worker, self._look, watch)
                    for decision_id, signal in found:
                        self._found(decision_id, signal, watch.signals)
                    if watch.selected and reading.text.strip() and not reading.calls:
                        self._judge.add(
                            Graded(
                                watch.decision.decision_id,
                                watch.decision.task,
                                watch.arm,
                                watch.messages,
                                reading.text,
                                watch.selected,
                                watch.request.body if watch.compared else None,
                            )
                        )
                except Exception as error:  # an upstream's oddity; a message might quote it
                    _log.debug("an answer could not be read: %s", type(error).__name__)
                finally:
                    self._let_go(watch)

    def _found(self, decision_id: str, signal: str, signals: ImplicitSignals) -> None:
        self._metrics.signals.labels(signal).inc()
        score = signals.score(signal)
        if score is not None:
            self._scores.add(Feedback(decision_id=decision_id, received=time.time(), score=score, implicit=signal))

    def _look(self, watch: Watch) -> tuple[list[tuple[str, str]], Reading]:
        """(decision, signal), of this answer and of those before it; and what it says."""
        found = list(self._of_earlier(watch))
        reading = read_answer(watch.copy.payloads, streamed=watch.streamed, native=watch.native)
        signals = signals_in(watch.request.body, reading, watch.finish_reason)
        found += ((watch.decision.decision_id, signal) for signal in signals)
        if watch.signals.reacts and reading.text.strip():
            self._answers.put(_said(watch, reading.text), watch.decision.decision_id)
        for call in reading.calls[:_WAITING]:
            if call.identity:
                self._calls.put(_call(watch, call.identity), watch.decision.decision_id)
        return found, reading

    def _of_earlier(self, watch: Watch) -> Iterator[tuple[str, str]]:
        for identity in failed_calls(watch.messages):
            before = self._calls.get(_call(watch, identity))
            if before:
                yield before, "tool_error"
                break
        if watch.signals.reacts and (turn := _turn(watch.messages)):
            answer, said = turn
            before, found = self._answers.get(_said(watch, answer)), reaction(said)
            if before and found:
                yield before, found
        session = watch.request.session
        if watch.request.repeatable and watch.messages and watch.signals.regenerated is not None:
            conversation = hashlib.blake2b(orjson.dumps(watch.messages), digest_size=16).digest()
            name = _digest(watch.request.key, session)
            same, before = self._conversations.get(name) or (b"", "")
            if same == conversation:
                yield before, "regenerated"
            self._conversations.put(name, (conversation, watch.decision.decision_id))


def _looked_at(request: CompletionRequest, signals: ImplicitSignals) -> bool:
    body = request.body
    if "messages" not in body:
        return signals.reads(checked=False)
    if (
        signals.reacts
        or signals.reads(checked=checked(body))
        or (signals.tool_error is not None and bool(body.get("tools")))
    ):
        return True
    return signals.regenerated is not None and request.repeatable


def _call(watch: Watch, identity: str) -> bytes:
    """Of a call in its conversation: some servers number their calls, so that an id alone says little."""
    return _digest(watch.request.key, watch.request.hints.session, identity, _beginning(watch))


def _said(watch: Watch, answer: str) -> bytes:
    """Of an answer in its conversation: clients may take spaces off its ends."""
    return _digest(watch.request.key, watch.request.hints.session, "answer", answer.strip(), _beginning(watch))


def _beginning(watch: Watch) -> str:
    first = next((message for message in watch.messages if message.get("role") == "user"), None)
    return orjson.dumps(first).decode("utf-8", "replace")


def _turn(messages: Sequence[Mapping[str, Any]]) -> tuple[str, str] | None:
    """(the answer, what the user says to it), where a conversation ends so."""
    roles = [message.get("role") for message in messages[-2:]]
    if roles != ["assistant", "user"]:
        return None
    answer, said = (text_of(message.get("content")) for message in messages[-2:])
    return (answer, said) if answer.strip() else None


def _digest(*parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()
