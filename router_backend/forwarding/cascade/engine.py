"""A cascade: cheap arms first, the next one when a scorer isn't content (FrugalGPT, Chen et al. 2023, section 3).

An answer is held back until it is scored, streamed or not; the last arm's answer is streamed as it comes, since
nothing is asked after it. If the last arms fail, the best answer that was held back is given.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from router_backend.config.models import ModelConfig
from router_backend.config.policy import CascadeConfig
from router_backend.core.errors import Attempt, Cause, Fault, OpenAIError
from router_backend.core.records import Usage
from router_backend.core.tracing import TraceContext
from router_backend.forwarding.answers import WholeAnswer
from router_backend.forwarding.cascade.scorers import heuristic, judge_request, judged, logprob
from router_backend.forwarding.failure import ForwardError, no_answer
from router_backend.forwarding.request import Answer, ForwardRequest, Progress
from router_backend.forwarding.stream.sse import DONE, frame

_JUDGE_TOKENS = 8
Forward = Callable[[ForwardRequest], Awaitable[Answer]]


class HeldAnswer:
    """A streamed answer that came to its end before it was handed out."""

    streamed = True

    def __init__(self, progress: Progress, payloads: list[bytes]) -> None:
        self.progress, self._payloads = progress, payloads

    async def body(self) -> bytes:
        """Streamed: there is none."""
        raise TypeError("the answer is streamed; use frames() or chunks()")

    async def frames(self) -> AsyncIterator[bytes]:
        """See `Answer.frames`."""
        yield frame([*self._payloads, DONE])

    async def chunks(self) -> AsyncIterator[bytes]:
        """See `Answer.chunks`."""
        for payload in self._payloads:
            yield payload

    async def aclose(self) -> None:
        """Nothing runs any more."""


@dataclass(slots=True)
class Said:
    """What the scorers read of an answer: its first choice."""

    text: str = ""
    logprobs: list[float] = field(default_factory=list)
    calls_tools: bool = False

    def add(self, choices: Any) -> None:
        """Take the choices of a chunk or of a whole body in; what isn't as it should be says nothing."""
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict) or choice.get("index", 0) != 0:
                continue
            part = choice.get("delta") or choice.get("message") or choice
            if not isinstance(part, dict):
                continue
            self.text += str(part.get("content") or part.get("text") or "")
            self.calls_tools |= bool(part.get("tool_calls"))
            details = choice.get("logprobs")
            tokens = details.get("content") if isinstance(details, dict) else None
            for token in tokens if isinstance(tokens, list) else ():
                if isinstance(token, dict) and isinstance(token.get("logprob"), int | float):
                    self.logprobs.append(float(token["logprob"]))


class Cascade:
    """One request on its way through the arms."""

    def __init__(self, forward: Forward, models: Mapping[str, ModelConfig], config: CascadeConfig) -> None:
        self._forward, self._models, self._config = forward, models, config
        self._started = time.monotonic()
        self._discarded: list[tuple[str, Usage]] = []
        self._trail: list[Attempt] = []

    async def ask(self, request: ForwardRequest) -> Answer:
        """The first answer whose score reaches the threshold.

        Raises:
            ForwardError: no arm answered, or the request itself is at fault.
        """
        best: tuple[float, Answer] | None = None
        for place, arm in enumerate(request.arms):
            step = replace(request, arms=(arm,), cascade=None)
            try:
                if place == len(request.arms) - 1:
                    answer = await self._forward(step)
                    self._discard(best)
                    return self._given(answer)
                answer, said = await self._held(step)
            except ForwardError as error:
                if not error.fallbacks:
                    raise  # there is no such arm
                self._trail += error.fallbacks
                final = place == len(request.arms) - 1 or not error.fallbacks[-1].cause.falls_back
                if best is None and final:
                    raise no_answer(self._trail) from error
                continue
            score = await self._score(request, said, answer.progress)
            if score >= self._config.threshold:
                self._discard(best)
                return self._given(answer)
            self._trail.append(Attempt(arm, _scored(score)))
            if best is None or score > best[0]:
                self._discard(best)
                best = score, answer
            else:
                self._discard((score, answer))
        assert best is not None
        return self._given(best[1])

    async def _held(self, step: ForwardRequest) -> tuple[Answer, Said]:
        """One arm's complete answer, and what it says.

        Raises:
            ForwardError: it failed, before its first content or after it; nothing was handed out.
        """
        added = self._config.scorer == "logprob" and self._gives_logprobs(step)
        if added:
            step = replace(step, body={**step.body, "logprobs": True})
        answer, said = await self._forward(step), Said()
        try:
            if not answer.streamed:
                body = orjson.loads(await answer.body())
                said.add(body["choices"])
                return (WholeAnswer(answer.progress, _without_logprobs(body)) if added else answer), said
            payloads = []
            async for payload in answer.chunks():
                chunk = orjson.loads(payload)
                said.add(chunk.get("choices"))
                payloads.append(_without_logprobs(chunk) if added else payload)
            if answer.progress.error:
                arm, cause = answer.progress.arm, answer.progress.error
                error = OpenAIError(f"{arm} failed in the middle of its answer", code=cause.label)
                raise ForwardError(error, [Attempt(arm, cause, error)])
            return HeldAnswer(answer.progress, payloads), said
        finally:
            await answer.aclose()

    def _gives_logprobs(self, step: ForwardRequest) -> bool:
        """Whether they must be asked for, and may be: the client's own wish is left as it is."""
        model = self._models.get(step.arms[0])
        chat = step.endpoint == "chat/completions"
        return chat and not step.body.get("logprobs") and model is not None and "logprobs" in model.capabilities

    async def _score(self, request: ForwardRequest, said: Said, progress: Progress) -> float:
        if said.calls_tools:
            return 1.0  # a call is no text to be judged; the tools' own results show its worth
        if self._config.scorer == "logprob" and said.logprobs:
            return logprob(said.logprobs)
        prompt = _last_user_text(request.body)
        if self._config.scorer == "judge" and self._config.judge:
            rating = await self._ask_judge(self._config.judge, judge_request(prompt, said.text), request.trace)
            if rating is not None:
                return rating
        return heuristic(said.text, progress.finish_reason, prompt)

    async def _ask_judge(self, judge: str, messages: list[dict[str, str]], trace: TraceContext) -> float | None:
        body = {"messages": messages, "max_tokens": _JUDGE_TOKENS, "temperature": 0}
        try:
            answer = await self._forward(ForwardRequest(body=body, arms=(judge,), named=True, trace=trace))
        except ForwardError:
            return None  # a judge that is away must not stop the answer
        self._discarded.append((judge, answer.progress.usage))
        reply = Said()
        reply.add(orjson.loads(await answer.body())["choices"])
        return judged(reply.text)

    def _discard(self, scored: tuple[float, Answer] | None) -> None:
        if scored:
            self._discarded.append((scored[1].progress.arm, scored[1].progress.usage))

    def _given(self, answer: Answer) -> Answer:
        """The answer with the whole cascade's times, trail and cost."""
        progress = answer.progress
        earlier = progress.started - self._started
        progress.started = self._started
        if progress.latency is not None:  # it was held back: the client sees nothing before now
            progress.latency = time.monotonic() - self._started
            progress.first_token = progress.latency if answer.streamed else None
        elif progress.first_token is not None:
            progress.first_token += earlier
        own = [attempt for attempt in self._trail if attempt.arm != progress.arm]
        progress.fallbacks = (*own, *progress.fallbacks)
        progress.discarded = tuple(self._discarded)
        return answer


def _scored(score: float) -> Cause:
    """It answered, but not well enough."""
    return Cause(f"score {score:.2f}", Fault.NOBODY)


def _without_logprobs(answer: dict[str, Any]) -> bytes:
    for choice in answer.get("choices") or ():
        if isinstance(choice, dict):
            choice["logprobs"] = None
    return orjson.dumps(answer)


def _last_user_text(body: Mapping[str, Any]) -> str:
    messages = body.get("messages")
    for message in reversed(messages if isinstance(messages, list) else []):
        if isinstance(message, dict) and message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, list):
                return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
            return str(content or "")
    return str(body.get("prompt") or "")
