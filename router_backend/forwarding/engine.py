"""The one engine behind gateway and Triton's forwarder: candidates in order, until one answers.

For each candidate: its breaker lets the call through, its limiter has a slot, its upstream answers. A failure is tried
again on the same arm (backoff, retry budget) and then on the next arm (no budget: another server carries the load).
Both end with the first content, which is handed out only then; from there on a failure is the answer's own.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from router_backend.config.models import BedrockUpstream, ModelConfig, OpenAIUpstream, TensorRTLLMUpstream
from router_backend.config.schema import RouterConfig
from router_backend.core.errors import (
    BREAKER_OPEN,
    CONTEXT_LENGTH,
    QUEUE_FULL,
    UNSUPPORTED,
    Attempt,
    Fault,
    OpenAIError,
    Verdict,
)
from router_backend.core.jsonio import dump
from router_backend.core.records import Usage
from router_backend.forwarding.answers import Answer, StreamedAnswer, WholeAnswer
from router_backend.forwarding.failure import Failure, ForwardError, no_answer, timed_out
from router_backend.forwarding.guards.breaker import CircuitBreaker
from router_backend.forwarding.guards.limiter import Limiter, QueueFull, Slot, Slots
from router_backend.forwarding.guards.retries import RetryBudget, backoff
from router_backend.forwarding.lease import Lease
from router_backend.forwarding.live import LiveStream
from router_backend.forwarding.observer import Observer
from router_backend.forwarding.pace import Pace, Timing
from router_backend.forwarding.progress import Progress
from router_backend.forwarding.request import ForwardRequest, Native
from router_backend.forwarding.stream.chunks import ChunkReader, read_body
from router_backend.forwarding.stream.native import NativeReader, NativeWhole, read_native
from router_backend.forwarding.stream.whole import WholeBuilder
from router_backend.forwarding.upstreams.bedrock import BedrockServer
from router_backend.forwarding.upstreams.body import arm_body, native_body, usage_asked
from router_backend.forwarding.upstreams.clients import Clients
from router_backend.forwarding.upstreams.openai import OpenAIServer
from router_backend.forwarding.upstreams.secrets import key_reader
from router_backend.forwarding.upstreams.tensorrtllm import TensorRTLLMServer
from router_backend.forwarding.upstreams.upstream import Call, Upstream

ATTEMPT_SHARE = 2 / 3
"""Of the time left, for a whole answer that comes slowly while another arm could still give one: content that never ends
must not take all of `timeouts.total`."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm with what guards it."""

    config: ModelConfig
    upstream: Upstream
    breaker: CircuitBreaker
    limiter: Limiter
    pace: Pace


@dataclass(frozen=True, slots=True)
class Share:
    """What one of several engines of a gateway may take: its part of what each counts alone, and slots from all there are."""

    engines: int = 1
    slots: Callable[[str, int], Slots] = lambda arm, count: Slots(count)

    def part(self, limit: int) -> int:
        return -(-limit // self.engines)


def build_engine(config: RouterConfig, *, observer: Observer | None = None, share: Share | None = None) -> Engine:
    """An engine for the arms of `config`; connections are opened at the first call, on the running loop.

    `local` upstreams must have been replaced by the running server (`config.runtime.runtime_config` does it).

    Raises:
        ValueError: a key or a tokenizer is missing; says which and what to do.
    """
    return Engine(config, observer or Observer(), share or Share())


class Engine:
    """Sends a request to the first arm that answers. One per process and event loop."""

    def __init__(self, config: RouterConfig, observer: Observer, share: Share) -> None:
        self.config, self._observer, self._share = config, observer, share
        self._clients = Clients(config.timeouts.connect)
        self._budget = RetryBudget(config.retries.budget, share.part(config.retries.budget_minimum))
        self._rng = random.Random()
        self._uncounted: set[str] = set()  # arms that streamed a whole answer to us without its usage
        self._arms = {model.name: self._arm(model) for model in config.models}

    def _arm(self, model: ModelConfig) -> Arm:
        name, observer = model.name, self._observer
        return Arm(
            model,
            self._upstream(model),
            CircuitBreaker(self.config.breaker, lambda state: observer.breaker(name, state)),
            Limiter(
                model.max_concurrency,
                self._share.part(model.max_queue),
                lambda running, queued: observer.load(name, running, queued),
                self._share.slots(name, model.max_concurrency),
                int(model.max_concurrency * self.config.batches.idle_share),
            ),
            Pace(),
        )

    def _upstream(self, model: ModelConfig) -> Upstream:
        upstream, connect = model.upstream, self.config.timeouts.connect
        if isinstance(upstream, OpenAIUpstream):
            return OpenAIServer(
                model.name,
                self._clients.to(upstream.base_url),
                upstream.base_url,
                upstream.model or model.name,
                key_reader(upstream),
                upstream.headers,
                connect,
            )
        if isinstance(upstream, TensorRTLLMUpstream):
            return TensorRTLLMServer(model.name, upstream, model.context_window, connect)
        if isinstance(upstream, BedrockUpstream):
            return BedrockServer(model.name, self._clients, upstream, connect)
        raise ValueError(f"model {model.name!r}: the packaged local model is not running; start with `llm-router up`")

    async def forward(self, request: ForwardRequest) -> Answer:
        """Returns when the first content (streamed) or the whole answer is there.

        Raises:
            ForwardError: no arm answered; carries the error for the client, and the attempts.
        """
        self._budget.request()
        for arm in self._arms.values():
            arm.pace.request()
        started = time.monotonic()
        trail: list[Attempt] = []
        calls = 1 if request.named else 1 + self.config.retries.fallbacks
        window = 0  # an arm must have a larger one, after a prompt that was too long
        for place, name in enumerate(request.arms):
            arm = self._known(name)
            if trail and time.monotonic() - started >= self.config.timeouts.total:
                break  # the arm that took the time is told, not one that was never asked
            spare = calls > 1 and place + 1 < len(request.arms) and not request.named
            if calls == 0:
                break
            if arm.config.context_window <= window:
                trail.append(Attempt(name, CONTEXT_LENGTH))
                continue
            try:
                return await self._with_retries(arm, request, started, trail, spare)
            except Failure as failure:
                trail.append(Attempt(name, failure.cause, failure.error))
                if not failure.cause.falls_back or request.named:
                    break
                calls -= failure.cause is not BREAKER_OPEN  # such an arm was passed over, not tried
                if failure.cause is CONTEXT_LENGTH:
                    window = max(window, arm.config.context_window)
                self._observer.fallback(name, failure.cause)
        raise no_answer(trail)

    def _known(self, name: str) -> Arm:
        try:
            return self._arms[name]
        except KeyError:
            message = f"the model {name!r} does not exist; the models are {', '.join(self._arms)}"
            error = OpenAIError(message, 404, "invalid_request_error", "model_not_found", "model")
            raise ForwardError(error) from None

    async def _with_retries(
        self, arm: Arm, request: ForwardRequest, started: float, trail: list[Attempt], spare: bool
    ) -> Answer:
        """One arm, with retries. `spare`: another arm could still answer.

        Raises:
            Failure: the arm's last.
        """
        retries = self.config.retries
        attempt = 1
        while True:
            try:
                return await self._attempt(arm, request, started, trail, attempt, spare)
            except Failure as failure:
                if not failure.cause.retried or attempt >= retries.attempts:
                    raise
                delay = backoff(retries, attempt - 1, failure.error.retry_after, self._rng)
                left = started + self.config.timeouts.total - time.monotonic()
                if delay is None or delay >= left or not self._budget.spend():
                    raise
                self._observer.retry(arm.config.name, failure.cause)
                await asyncio.sleep(delay)
                attempt += 1

    async def _attempt(
        self, arm: Arm, request: ForwardRequest, started: float, trail: list[Attempt], attempt: int, spare: bool
    ) -> Answer:
        """One call of one arm.

        Raises:
            Failure: it failed before anything was handed out.
        """
        name, timeouts = arm.config.name, self.config.timeouts
        native = request.native if request.native and arm.config.speaks(request.native.endpoint) else None
        if request.native and request.native.refusal and not native:
            raise Failure(UNSUPPORTED, request.native.refusal)
        streamed = request.endpoint != "embeddings" and bool(request.body.get("stream"))
        progress = Progress(
            arm=name, started=started, attempts=attempt, fallbacks=tuple(trail), discarded=request.spent
        )
        left = max(0.0, started + timeouts.total - time.monotonic())
        inside = spare and not streamed and self._streams_inside(arm, request)
        part = left * ATTEMPT_SHARE if spare and not streamed else left
        limit = "first_token" if (streamed or inside) and timeouts.first_token < left else "total"
        slot = lease = live = None
        timing = arm.pace.begin()
        try:
            async with asyncio.timeout(min(left, timeouts.first_token) if streamed or inside else part) as clock:
                slot = await self._admit(arm, request)
                permit = arm.breaker.enter(request.caller)
                if permit is None:
                    raise _resting(arm)
                lease = Lease(progress, slot, permit, timing, self._observer, streamed)
                self._observer.attempt(name)
                usage = not isinstance(arm.config.upstream, OpenAIUpstream) or arm.config.upstream.stream_options
                call = self._call(arm, request, native, streamed, inside, usage)
                try:
                    lease.reply = await arm.upstream.start(call)
                except Failure as refusal:
                    if not ((streamed and usage and not usage_asked(request.body)) or inside) or not _refused(refusal):
                        raise
                    inside = False  # once again without what we added
                    if not streamed:
                        limit = "total"
                        now = asyncio.get_running_loop().time()
                        clock.reschedule(now + started + timeouts.total - left + part - time.monotonic())
                    call = self._call(arm, request, native, streamed, False, False)
                    lease.reply = await arm.upstream.start(call)
                if streamed:
                    reader = NativeReader(progress) if native else ChunkReader(progress, usage_asked(request.body))
                    live = LiveStream(lease, reader, timeouts)
                    return StreamedAnswer(progress, await live.begin(), live, bool(native))
                if not inside:
                    return self._whole(lease, await lease.reply.body(), request, native)
                builder = NativeWhole(progress.arm) if native else WholeBuilder()
                chunks = NativeReader(progress) if native else ChunkReader(progress, True)
                live = LiveStream(lease, chunks, timeouts, ATTEMPT_SHARE)
                await live.first_of_whole(builder)
            await live.rest_of_whole(builder)
            answer = self._whole(lease, dump(builder.body()), request, native)
            if not progress.usage_known:
                self._uncounted.add(name)
            return answer
        except TimeoutError as error:
            took = part if limit == "total" and part < left else None
            failure = timed_out(limit, getattr(timeouts, limit), name, took)
            timing.drop(late=True)
            _keep_cost(live, request)
            self._failed(slot, lease, timing, failure)
            raise failure from error
        except Failure as failure:
            _keep_cost(live, request)
            self._failed(slot, lease, timing, failure)
            raise
        except BaseException:
            if lease:  # it was called: what it has read and written is paid for
                if live:
                    live.estimate()
                request.left.append(progress)
            self._failed(slot, lease, timing, None)
            raise

    @staticmethod
    def _call(
        arm: Arm, request: ForwardRequest, native: Native | None, streamed: bool, inside: bool, usage: bool
    ) -> Call:
        if native:
            body = native_body(arm.config, request, native, inside=inside)
            return Call(
                request.endpoint,
                body,
                streamed or inside,
                request.request_id,
                request.trace,
                native.endpoint,
                native.headers,
                request.size,
            )
        body = arm_body(arm.config, request, inside=inside, usage=usage)
        return Call(request.endpoint, body, streamed or inside, request.request_id, request.trace, size=request.size)

    @staticmethod
    def _whole(lease: Lease, data: bytes, request: ForwardRequest, native: Native | None) -> WholeAnswer:
        """Raises Failure when it is no answer."""
        progress = lease.progress
        data = read_native(data, progress) if native else read_body(data, progress, request.endpoint)
        lease.end(Verdict.WELL)
        return WholeAnswer(progress, data, bool(native))

    def _streams_inside(self, arm: Arm, request: ForwardRequest) -> bool:
        """Whether a whole answer may come to us as a stream, so that silence is noticed while another arm has time.

        Not where it would be another answer: TensorRT-LLM's `ensemble` detokenizes a stream's tokens one by one, and
        the best of several can only be chosen at the end. Not where its usage would be missing.
        """
        upstream, name, body = arm.config.upstream, arm.config.name, request.body
        if isinstance(upstream, BedrockUpstream):
            return request.endpoint == "chat/completions"
        able = isinstance(upstream, OpenAIUpstream) and upstream.stream_options and name not in self._uncounted
        return able and request.endpoint != "embeddings" and not (body.get("best_of") or body.get("audio"))

    async def _admit(self, arm: Arm, request: ForwardRequest) -> Slot:
        if arm.breaker.blocked(request.caller):
            raise _resting(arm)
        if reserved := request.reserved.pop(arm.config.name, None):
            return reserved
        try:
            return await arm.limiter.acquire(request.client)
        except QueueFull as full:
            message = (
                f"{arm.config.name} has {arm.limiter.running} calls running and {arm.limiter.queued} waiting; "
                f"try again in {full.retry_after:g} s"
            )
            error = OpenAIError(message, 429, "rate_limit_error", "rate_limit_exceeded", retry_after=full.retry_after)
            raise Failure(QUEUE_FULL, error) from full

    def _failed(self, slot: Slot | None, lease: Lease | None, timing: Timing, failure: Failure | None) -> None:
        """Give back what the call held. No failure: it was cancelled, which says nothing about the upstream."""
        if lease:
            if failure:
                self._observer.failed(lease.progress.arm, failure.cause)
            lease.drop(failure.cause.verdict if failure else Verdict.NOTHING)
        elif slot:
            slot.release()
        timing.drop(late=False)

    def health(self) -> Mapping[str, str]:
        """Breaker state by arm: closed, open, half_open."""
        return {name: arm.breaker.state for name, arm in self._arms.items()}

    def spare(self, name: str) -> bool:
        """Whether an arm has places to spare, for calls that nobody waits for."""
        arm = self._arms[name]
        return not arm.limiter.queued and 2 * arm.limiter.running < arm.config.max_concurrency

    async def reserve_idle(self, name: str, client: str) -> Slot:
        """A place of an arm that nobody else wants, as soon as there is one, for `ForwardRequest.reserved`."""
        return await self._known(name).limiter.acquire_idle(client)

    def paces(self) -> Mapping[str, tuple[float, float]]:
        """Seconds to the first token and of each further one that are expected of an arm now; without arms of which nothing is known."""
        expected = ((name, arm.pace.expected) for name, arm in self._arms.items())
        return {name: pace for name, pace in expected if pace is not None}

    def loads(self) -> Mapping[str, float]:
        """Share of its places, in [0, 1], that calls of an arm on own GPUs take now, those that wait included."""
        return {
            name: min(1.0, (arm.limiter.running + arm.limiter.queued) / arm.config.max_concurrency)
            for name, arm in self._arms.items()
            if arm.config.price.gpu_hour_usd is not None
        }

    async def aclose(self) -> None:
        """Close all connections, and with them the calls that still run."""
        for arm in self._arms.values():
            await arm.upstream.aclose()
        await self._clients.aclose()


def _keep_cost(live: LiveStream | None, request: ForwardRequest) -> None:
    """What an arm had written before it failed is paid for, though another one answers."""
    if live:
        live.estimate()
        if live.progress.usage != Usage():
            request.discarded.append(live.progress)


def _refused(failure: Failure) -> bool:
    """Whether the upstream refused a field about streaming."""
    error = failure.error
    return failure.cause.fault is Fault.CLIENT and "stream" in f"{error.param} {error.message}".lower()


def _resting(arm: Arm) -> Failure:
    message = f"{arm.config.name} is unavailable: its last calls failed, and it is tried again in a moment"
    return Failure(BREAKER_OPEN, OpenAIError(message, 503, "overloaded_error", retry_after=arm.breaker.retry_after))
