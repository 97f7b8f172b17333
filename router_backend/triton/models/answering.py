"""An answer from the forwarding engine to the responses of a decoupled model. `forwarder` and `llm_router_bls` share it."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from router_backend.config import RouterConfig
from router_backend.core.decision import RoutedDecision
from router_backend.core.jsonio import load
from router_backend.core.tracing import TraceContext
from router_backend.forwarding.answers import Answer, Copy, StreamedAnswer
from router_backend.forwarding.cascade.choice import cascade_of
from router_backend.forwarding.cascade.engine import CascadeEngine
from router_backend.forwarding.engine import build_engine
from router_backend.forwarding.failure import ForwardError
from router_backend.forwarding.progress import Progress
from router_backend.forwarding.request import ForwardRequest
from router_backend.learning.outcome import outcome_of
from router_backend.learning.reading import ANSWER_BYTES, read_answer
from router_backend.learning.recorder import Recorder
from router_backend.learning.signals import checked, signals_in
from router_backend.steps.deployment import Deployment
from router_backend.triton.models import tensors
from router_backend.triton.models.execution import fail

log = logging.getLogger(__name__)
_POLL_SECONDS = 0.02  # how soon a cancelled request is noticed
_DURABLE_SECONDS = 2.0
_FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


class Answering:
    """One event loop in a thread, the engine on it, and the record of what was answered."""

    def __init__(self) -> None:
        self._deployment = Deployment()
        self._recorder = Recorder(self._deployment.store, backlog=self._deployment.backlog)
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, name="answers", daemon=True).start()
        # Both change together, on the loop.
        self._config = self._deployment.config
        self._engine = CascadeEngine(build_engine(self._config))
        self._running: set[Any] = set()
        self._reviewer = ThreadPoolExecutor(1, thread_name_prefix="review")
        self._deployment.watch(self._apply)

    def spawn(self, work: Coroutine[Any, Any, None], sender: Any) -> None:
        """Run an answer on the loop, from Triton's thread. However it ends, the response stream ends too."""

        async def ended() -> None:
            try:
                await work
            except asyncio.CancelledError:
                fail(sender, "the request was cancelled", 499)
            except Exception as error:
                log.exception("an answer failed")
                fail(sender, f"internal error ({type(error).__name__}); see the server's log", 500)

        future = asyncio.run_coroutine_threadsafe(ended(), self.loop)
        self._running.add(future)
        future.add_done_callback(self._running.discard)

    def close(self) -> None:
        for future in tuple(self._running):
            future.cancel()
        asyncio.run_coroutine_threadsafe(self._engine.aclose(), self.loop).result(5)
        self._reviewer.shutdown(cancel_futures=True)
        self._deployment.close(self._recorder)
        self.loop.call_soon_threadsafe(self.loop.stop)

    async def answer(
        self, decision: RoutedDecision, body: dict[str, Any], sender: Any, trace: TraceContext, cancellable: bool
    ) -> None:
        """Forward and send; every way out ends the response stream."""
        task = asyncio.current_task()
        watch = asyncio.create_task(_cancel_when_asked(sender, task)) if cancellable else None
        try:
            await self._forward(decision, body, sender, trace)
        except ForwardError as error:
            fail(sender, f"{error.error.status}: {error}{_hints(error)}", error.error.status)
        except asyncio.CancelledError:
            fail(sender, "the request was cancelled", 499)
        except Exception as error:
            log.exception("an answer failed")
            fail(sender, f"internal error in the forwarder ({type(error).__name__}); see the server's log", 500)
        finally:
            if watch is not None:
                watch.cancel()

    async def _forward(self, decision: RoutedDecision, body: dict[str, Any], sender: Any, trace: TraceContext) -> None:
        arms = decision.ranking or [decision.model]
        if any(arm not in self._config.names for arm in arms):
            await asyncio.to_thread(self._deployment.check)  # the router has read a changed router.yaml before us
        config = self._config  # until the end: a reload changes nothing of an answer that runs
        request = ForwardRequest(
            body=body,
            arms=[arm for arm in arms if arm in config.names] or arms,
            task=decision.task,
            request_id=decision.decision_id,
            trace=trace,
        )
        answer = await self._answered(decision, request, config)
        copy = _copied(answer, body, config)
        status, broken = 499, ""
        try:
            if isinstance(answer, StreamedAnswer):
                last, broken = await self._stream(decision, answer, sender)
            else:
                last = [answer.body]
            status = 502 if broken else answer.progress.status
        finally:
            self._record(decision, answer.progress, status, config)
            if copy and copy.whole and status == 200:
                self._reviewer.submit(self._review, decision.decision_id, body, copy, answer)
        if not await asyncio.to_thread(self._recorder.flush, decision.decision_id, _DURABLE_SECONDS):
            log.warning("the outcome of decision %s isn't durable yet: the store is slow or down", decision.decision_id)
        if not broken:
            # As TensorRT-LLM's, the last response holds data: clients that ask for no empty one learn the end from it.
            _send(sender, decision, answer.progress, last, flags=_FINAL)
            return
        if last:
            _send(sender, decision, answer.progress, last)
        fail(sender, f"the answer broke off: {broken}", 502)

    async def _answered(self, decision: RoutedDecision, request: ForwardRequest, config: RouterConfig) -> Answer:
        """The engine's answer; that there is none is an outcome, too."""
        nothing = Progress(arm=decision.model, started=time.monotonic())
        try:
            return await self._engine.forward(request, cascade_of(config, decision.policy, decision.reason))
        except ForwardError as error:
            nothing.arm, nothing.discarded = error.arm or nothing.arm, request.spent
            nothing.error = error.cause
            self._record(decision, nothing, error.error.status, config)
            raise
        except asyncio.CancelledError:
            nothing.discarded = request.spent
            self._record(decision, nothing, 499, config)
            raise

    async def _stream(self, decision: RoutedDecision, answer: StreamedAnswer, sender: Any) -> tuple[list[bytes], str]:
        """Send what is there as one response: a message between processes costs more than a token.

        Returns the chunks that end the answer, which are not sent yet, and what it broke off with, empty if it is complete.
        """
        ready: asyncio.Queue[bytes | None] = asyncio.Queue()

        async def read() -> str:
            try:
                async for chunk in answer.chunks():
                    if answer.progress.error:  # the last one is OpenAI's error object
                        return str(load(chunk)["error"]["message"])
                    ready.put_nowait(chunk)
                return ""
            finally:
                ready.put_nowait(None)

        reader = asyncio.create_task(read())
        last: list[bytes] = []
        try:
            ended = False
            while not ended:
                group = [await ready.get()]
                while not ready.empty():
                    group.append(ready.get_nowait())
                ended = group[-1] is None
                chunks = last + [chunk for chunk in group if chunk is not None]
                length = len(chunks)
                while length and _ends(chunks[length - 1]):
                    length -= 1
                if length:
                    _send(sender, decision, answer.progress, chunks[:length])
                last = chunks[length:]
            return last, await reader
        finally:
            reader.cancel()
            await answer.aclose()

    def _record(self, decision: RoutedDecision, progress: Progress, status: int, config: RouterConfig) -> None:
        outcome = outcome_of(decision.decision_id, progress, status, config, started=progress.started)
        self._recorder.outcome(outcome)
        self._deployment.implicit.outcome(outcome)

    def _review(self, decision_id: str, body: dict[str, Any], copy: Copy, answer: Answer) -> None:
        """Look at an answer after it went out, for the signals in it."""
        try:
            reading = read_answer(copy.payloads, streamed=isinstance(answer, StreamedAnswer), native=answer.native)
            for signal in signals_in(body, reading, answer.progress.finish_reason):
                self._deployment.implicit.signal(decision_id, signal)
        except Exception as error:  # an upstream's oddity; a message might quote it
            log.debug("an answer could not be read: %s", type(error).__name__)

    def _apply(self, config: RouterConfig) -> None:
        """Requests that are running keep the engine that they began with."""

        async def swap() -> None:
            engine, longest = self._engine, self._config.timeouts.total
            self._engine, self._config = CascadeEngine(build_engine(config)), config
            self.loop.call_later(longest, lambda: asyncio.ensure_future(engine.aclose()))

        asyncio.run_coroutine_threadsafe(swap(), self.loop).result(5)


def _copied(answer: Answer, body: dict[str, Any], config: RouterConfig) -> Copy | None:
    """What the answer is copied to while it is sent; None: it isn't looked at."""
    if not config.implicit.reads(checked=checked(body)):
        return None
    copy = Copy(ANSWER_BYTES)
    if isinstance(answer, StreamedAnswer):
        answer.copy = copy
    else:
        copy.add([answer.body])
    return copy


def _hints(error: ForwardError) -> str:
    """What the gateway would say in headers, at the end of the message (docs/api.md)."""
    wait = error.error.retry_after
    hints = [] if wait is None else [f"retry-after: {max(1, math.ceil(wait))}"]
    if error.tried:
        hints.append("should-retry: false")
    return f" ({', '.join(hints)})" if hints else ""


async def _cancel_when_asked(sender: Any, task: asyncio.Task[Any] | None) -> None:
    """Triton tells a Python model of a client that left only when it is asked."""
    while task is not None and not task.done():
        if sender.is_cancelled():
            task.cancel()
            return
        await asyncio.sleep(_POLL_SECONDS)


def _texts(chunks: list[bytes]) -> tuple[str, str]:
    """(text, finish reason) of OpenAI chunks or of a whole answer."""
    text, finish = [], ""
    for chunk in chunks:
        for choice in load(chunk).get("choices") or ():
            part = choice.get("delta") or choice.get("message") or {}
            if choice.get("index", 0) == 0 and isinstance(part.get("content"), str):
                text.append(part["content"])
            finish = choice.get("finish_reason") or finish
    return "".join(text), finish


def _ends(chunk: bytes) -> bool:
    """Whether a chunk may be the last: each of its choices ends, or it has none and counts."""
    return all(choice.get("finish_reason") for choice in load(chunk).get("choices") or ())


def _send(sender: Any, decision: RoutedDecision, progress: Progress, chunks: list[bytes], flags: int = 0) -> None:
    text, finish = _texts(chunks)
    usage = progress.usage
    sender.send(
        pb_utils.InferenceResponse(
            [
                tensors.flat(tensors.text("text_output", [text])),
                tensors.text("model", [progress.arm]),
                tensors.text("decision_id", [decision.decision_id]),
                tensors.text("finish_reason", [finish]),
                tensors.numbers("num_input_tokens", [usage.prompt], np.int32),
                tensors.numbers("num_output_tokens", [usage.completion], np.int32),
                tensors.text("chunk", [b"\n".join(chunks)]),
            ]
        ),
        flags=flags,
    )
