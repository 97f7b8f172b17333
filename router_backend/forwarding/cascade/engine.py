"""A cascade: cheap arms first, the next one when a scorer isn't content (FrugalGPT, Chen et al. 2023, section 3).

An answer is held back until it is scored, streamed or not; the last arm's answer is streamed as it comes, since
nothing is asked after it. If the last arms fail, the best answer that was held back is given.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from router_backend.config.policy import CascadeConfig
from router_backend.core.errors import Attempt, Cause, Fault, OpenAIError
from router_backend.core.jsonio import dump, load
from router_backend.core.unread import LISTS
from router_backend.forwarding.answers import Answer, StreamedAnswer, WholeAnswer
from router_backend.forwarding.cascade.scorers import heuristic, judge_request, judged, logprob
from router_backend.forwarding.cascade.text import AnswerText
from router_backend.forwarding.engine import Engine
from router_backend.forwarding.failure import ForwardError, no_answer
from router_backend.forwarding.guards.limiter import Slot
from router_backend.forwarding.progress import Progress
from router_backend.forwarding.request import ForwardRequest

_JUDGE_TOKENS = 8


class CascadeEngine:
    """An engine that asks several arms for one answer where a decision says so; every other request is the engine's."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._logprobs = frozenset(model.name for model in engine.config.models if "logprobs" in model.capabilities)

    async def forward(self, request: ForwardRequest, cascade: CascadeConfig | None = None) -> Answer:
        """The answer of the first arm, or with a `cascade` (see `cascade_of`) the first that is good enough.

        What a cascade has spent is in `request.spent` at any time, also after a cancellation.

        Raises:
            ForwardError: see `Engine.forward`.
        """
        if cascade is None or request.named or request.endpoint == "embeddings" or len(request.arms) < 2:
            return await self._engine.forward(request)
        if request.native and request.native.refusal:
            return await self._engine.forward(request)  # its answer has no form that scorers read
        request = replace(request, native=None)
        return await _Cascade(self._engine, request, cascade, self._logprobs).run()

    def health(self) -> Mapping[str, str]:
        """See `Engine.health`."""
        return self._engine.health()

    def spare(self, name: str) -> bool:
        """See `Engine.spare`."""
        return self._engine.spare(name)

    async def reserve_idle(self, name: str, client: str) -> Slot:
        """See `Engine.reserve_idle`."""
        return await self._engine.reserve_idle(name, client)

    def paces(self) -> Mapping[str, tuple[float, float]]:
        """See `Engine.paces`."""
        return self._engine.paces()

    def loads(self) -> Mapping[str, float]:
        """See `Engine.loads`."""
        return self._engine.loads()

    async def aclose(self) -> None:
        """See `Engine.aclose`."""
        await self._engine.aclose()


class _Cascade:
    """One request on its way through the arms. `logprobs`: arms that give them."""

    def __init__(
        self, engine: Engine, request: ForwardRequest, config: CascadeConfig, logprobs: Collection[str]
    ) -> None:
        self._engine, self._request, self._config, self._logprobs = engine, request, config, logprobs
        self._started = time.monotonic()
        self._trail: list[Attempt] = []

    async def run(self) -> Answer:
        """The first answer whose score reaches the threshold.

        Raises:
            ForwardError: no arm answered, or the request itself is at fault.
        """
        best: tuple[float, Answer] | None = None
        *earlier, last = self._request.arms
        for arm in earlier:
            try:
                answer, text = await self._held(arm)
            except ForwardError as error:
                if not self._goes_on(error) and best is None:
                    raise self._no_answer(error) from error
                continue
            score = await self._score(text, answer.progress)
            if score >= self._config.threshold:
                return self._given(answer)
            self._trail.append(Attempt(arm, _scored(score)))
            if best is None or score > best[0]:
                best = score, answer
        try:
            return self._given(await self._engine.forward(replace(self._request, arms=(last,))))
        except ForwardError as error:
            self._goes_on(error)
            if best is None:
                raise self._no_answer(error) from error
            return self._given(best[1])

    def _goes_on(self, error: ForwardError) -> bool:
        """Note the attempts of one arm; returns whether another may be asked."""
        self._trail += error.fallbacks
        return bool(error.fallbacks) and error.fallbacks[-1].cause.falls_back

    def _no_answer(self, error: ForwardError) -> ForwardError:
        """As the engine would put it for all arms; that there is no such arm stays as it is."""
        return no_answer(self._trail) if error.fallbacks else error

    async def _held(self, arm: str) -> tuple[Answer, AnswerText]:
        """One arm's complete answer, and its text.

        Raises:
            ForwardError: it failed, before its first content or after it; nothing was handed out.
        """
        added = self._config.scorer == "logprob" and self._asks_logprobs(arm)
        body = {**self._request.body, "logprobs": True} if added else self._request.body
        answer, text = await self._engine.forward(replace(self._request, arms=(arm,), body=body)), AnswerText()
        self._request.discarded.append(answer.progress)
        if isinstance(answer, WholeAnswer):
            whole = load(answer.body)
            text.add(whole["choices"])
            return (WholeAnswer(answer.progress, _without_logprobs(whole)) if added else answer), text
        payloads = []
        try:
            async for payload in answer.chunks():
                chunk = load(payload)
                text.add(chunk.get("choices"))
                payloads.append(_without_logprobs(chunk) if added else payload)
        finally:
            await answer.aclose()
        cause = answer.progress.error
        if cause:
            error = OpenAIError(f"{arm} failed in the middle of its answer", code=cause.label)
            raise ForwardError(error, [Attempt(arm, cause, error)])
        return StreamedAnswer(answer.progress, payloads), text

    def _asks_logprobs(self, arm: str) -> bool:
        """Whether they must be asked for, and may be: the client's own wish is left as it is."""
        chat = self._request.endpoint == "chat/completions"
        return chat and not self._request.body.get("logprobs") and arm in self._logprobs

    async def _score(self, answer: AnswerText, progress: Progress) -> float:
        if answer.calls_tools:
            return 1.0  # a call is no text to be judged; the tools' own results show its worth
        if self._config.scorer == "logprob" and answer.logprobs:
            return logprob(answer.logprobs)
        prompt = _last_user_text(self._request.body)
        if self._config.scorer == "judge" and self._config.judge:
            messages = judge_request(prompt, answer.text)
            rating = await self._ask_judge(self._config.judge, messages)
            if rating is not None:
                return rating
        return heuristic(answer.text, progress.finish_reason, prompt)

    async def _ask_judge(self, judge: str, messages: list[dict[str, str]]) -> float | None:
        body = {"messages": messages, "max_tokens": _JUDGE_TOKENS, "temperature": 0}
        asking = self._request
        question = ForwardRequest(body=body, arms=(judge,), named=True, client=asking.client, trace=asking.trace)
        try:
            answer = await self._engine.forward(question)
        except ForwardError:
            return None  # a judge that is away must not stop the answer
        self._request.discarded.append(answer.progress)
        assert isinstance(answer, WholeAnswer)
        reply = AnswerText()
        reply.add(load(answer.body)["choices"])
        return judged(reply.text)

    def _given(self, answer: Answer) -> Answer:
        """The answer with the whole cascade's times, trail and cost."""
        progress, discarded = answer.progress, self._request.discarded
        earlier = progress.started - self._started
        progress.started = self._started
        if progress.latency is not None:  # it was held back: the client sees nothing before now
            progress.latency = time.monotonic() - self._started
            progress.first_token = progress.latency if isinstance(answer, StreamedAnswer) else None
        elif progress.first_token is not None:
            progress.first_token += earlier
        others = [attempt for attempt in self._trail if attempt.arm != progress.arm]
        progress.fallbacks = (*others, *progress.fallbacks)
        # In place: the list is the caller's, too.
        discarded[:] = [other for other in discarded if other is not progress]
        progress.discarded = self._request.spent
        return answer


def _scored(score: float) -> Cause:
    """It answered, but not well enough."""
    return Cause(f"score {score:.2f}", Fault.NOBODY)


def _without_logprobs(answer: dict[str, Any]) -> bytes:
    for choice in answer.get("choices") or ():
        if isinstance(choice, dict):
            choice["logprobs"] = None
    return dump(answer)


def _last_user_text(body: Mapping[str, Any]) -> str:
    messages = body.get("messages")
    for message in reversed(messages if isinstance(messages, LISTS) else []):
        if isinstance(message, dict) and message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, list):
                return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
            return str(content or "")
    return str(body.get("prompt") or "")
