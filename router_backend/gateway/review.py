"""Looks at answers after they went out, for the signals that `implicit` in `router.yaml` gives a score.

A copy of the answer is held in memory until one thread has looked at it: never stored, never logged, and bounded. Nobody waits.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import orjson

from router_backend.config.signals import ImplicitSignals
from router_backend.core.background import kept
from router_backend.core.records import Feedback
from router_backend.forwarding.answers import Answer, Copy, WholeAnswer
from router_backend.gateway.memory import Recent
from router_backend.gateway.metrics import Metrics
from router_backend.gateway.plan import Plan
from router_backend.gateway.request import CompletionRequest
from router_backend.gateway.score_queue import ScoreQueue
from router_backend.learning.reading import ANSWER_BYTES, Reading, read_answer
from router_backend.learning.signals import checked, failed_calls, signals_in

HELD_BYTES = 64 * 1024 * 1024
"""Of all requests and answers together that are held."""
_WAITING = 256
_REMEMBERED = 10_000  # calls of tools, and sessions
_log = logging.getLogger("llm_router.gateway")


@dataclass(frozen=True, slots=True)
class _Answered:
    """One answer that has ended, and what it answers."""

    decision_id: str
    key: str  # name of the API key
    session: str
    body: Mapping[str, Any]  # the chat request
    copy: Copy
    held: int  # bytes of the room that is given back
    streamed: bool
    native: bool
    finish_reason: str
    signals: ImplicitSignals


class Reviewer:
    """`begin` before an answer is sent, `end` after it. One task and one thread do the rest."""

    def __init__(self, scores: ScoreQueue, metrics: Metrics) -> None:
        self._scores, self._metrics = scores, metrics
        self._waiting: deque[_Answered] = deque()
        self._wake = asyncio.Event()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="review")
        self._task: asyncio.Task[None] | None = None
        self.held = 0  # bytes
        # Only the worker's thread touches these.
        self._calls: Recent[bytes, str] = Recent(_REMEMBERED)  # decision by call
        self._conversations: Recent[bytes, tuple[bytes, str]] = Recent(_REMEMBERED)  # (digest, decision) by session

    def start(self) -> None:
        """Look at answers from now on, on the running loop."""
        self._task = asyncio.create_task(kept("review", self._run, self._metrics.failed))

    def begin(self, request: CompletionRequest, plan: Plan, answer: Answer, signals: ImplicitSignals) -> Copy | None:
        """What the answer will be copied to while it is sent; None: it is not looked at. Give it to `end`."""
        if plan.kind != "routed" or not _looked_at(request, signals):
            return None
        limit = min(ANSWER_BYTES, HELD_BYTES - self.held) - request.size
        if limit <= 0:
            self._metrics.reviews_dropped.inc()
            return None
        copy = Copy(limit)
        if isinstance(answer, WholeAnswer):
            copy.add([answer.body])
        else:
            answer.copy = copy
        self.held += request.size + limit
        return copy

    def end(
        self, copy: Copy | None, request: CompletionRequest, plan: Plan, answer: Answer, signals: ImplicitSignals
    ) -> None:
        """The answer was sent, or nobody reads it any more."""
        if copy is None:
            return
        progress = answer.progress
        complete = progress.status == 200 and progress.error is None and bool(progress.finish_reason)
        self.held -= copy.limit
        if not (complete and copy.whole):
            self.held -= request.size
            self._metrics.reviews_dropped.inc(complete)
            return
        self.held += copy.size
        self._waiting.append(
            _Answered(
                plan.decision.decision_id,
                request.key,
                request.hints.session,
                request.body,
                copy,
                request.size + copy.size,
                not isinstance(answer, WholeAnswer),
                answer.native,
                progress.finish_reason,
                signals,
            )
        )
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

    def _let_go(self, answered: _Answered) -> None:
        self.held -= answered.held

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                answered = self._waiting.popleft()
                try:
                    for decision_id, signal in await loop.run_in_executor(self._worker, self._look, answered):
                        self._found(decision_id, signal, answered.signals)
                except Exception as error:  # an upstream's oddity; a message might quote it
                    _log.debug("an answer could not be read: %s", type(error).__name__)
                finally:
                    self._let_go(answered)

    def _found(self, decision_id: str, signal: str, signals: ImplicitSignals) -> None:
        self._metrics.signals.labels(signal).inc()
        score = signals.score(signal)
        if score is not None:
            self._scores.add(Feedback(decision_id=decision_id, received=time.time(), score=score, implicit=signal))

    def _look(self, answered: _Answered) -> list[tuple[str, str]]:
        """(decision, signal), of this answer and of those before it."""
        found = list(self._of_earlier(answered))
        reading = read_answer(answered.copy.payloads, streamed=answered.streamed, native=answered.native)
        found += (
            (answered.decision_id, signal) for signal in signals_in(answered.body, reading, answered.finish_reason)
        )
        self._remember(answered, reading)
        return found

    def _of_earlier(self, answered: _Answered) -> Iterator[tuple[str, str]]:
        messages = answered.body.get("messages") or []
        for identity in failed_calls(messages):
            before = self._calls.get(_call(answered, identity))
            if before:
                yield before, "tool_error"
                break
        if answered.session and answered.signals.regenerated is not None:
            conversation = hashlib.blake2b(orjson.dumps(messages), digest_size=16).digest()
            session = _digest(answered.key, answered.session)
            same, before = self._conversations.get(session) or (b"", "")
            if same == conversation:
                yield before, "regenerated"
            self._conversations.put(session, (conversation, answered.decision_id))

    def _remember(self, answered: _Answered, reading: Reading) -> None:
        for call in reading.calls[:_WAITING]:
            if call.identity:
                self._calls.put(_call(answered, call.identity), answered.decision_id)


def _looked_at(request: CompletionRequest, signals: ImplicitSignals) -> bool:
    body = request.body
    if "messages" not in body:
        return signals.reads(checked=False)
    if signals.reads(checked=checked(body)) or (signals.tool_error is not None and bool(body.get("tools"))):
        return True
    return signals.regenerated is not None and bool(request.hints.session)


def _call(answered: _Answered, identity: str) -> bytes:
    """Of a call in its conversation: some servers number their calls, so that an id alone says little."""
    first = next((message for message in answered.body.get("messages") or () if message.get("role") == "user"), None)
    return _digest(answered.key, answered.session, identity, orjson.dumps(first).decode("utf-8", "replace"))


def _digest(*parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()
