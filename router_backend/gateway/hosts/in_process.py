"""The gateway's own process as a router: the steps run on threads, so that they hold up no answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from router_backend.core import seal
from router_backend.core.decision import RoutedDecision
from router_backend.core.records import Decision, Feedback, Outcome, Scored
from router_backend.core.tracing import TraceContext
from router_backend.cores import usable_cores
from router_backend.gateway.router_host import HostError, Owner, Turn, no_turn
from router_backend.state import leases, rates
from router_backend.state.codec import encode_records
from router_backend.state.console import Question, encode_question
from router_backend.state.leases import Lease
from router_backend.state.rates import Draw, Levels
from router_backend.state.responses import Asked, encode_asked
from router_backend.state.spend import Spend

if TYPE_CHECKING:
    from router_backend.steps.in_process import InProcess
    from router_backend.steps.metrics import Instruments

_RECORD_SECONDS = 1.0  # that an outcome waits for its decision; a store that takes none takes no outcome either
_RECORDERS = 4  # threads that wait for the store
_PAUSES = (0.5, 10.0)  # seconds between tries to open, doubled from the first to the second
_REHEARSAL = {"text_input": "Are you there?"}
_log = logging.getLogger("llm_router.gateway")
T = TypeVar("T")


class InProcessHost:
    """Opens the classifier and the state store in the background, and again until it succeeds: meanwhile it decides nothing."""

    def __init__(self, config: Path | None, instruments: Instruments, patience: float = 0.0) -> None:
        """`config`: router.yaml, by default the one that the environment names; `patience`: seconds that `open` waits for
        it to be able to decide.
        """
        self._config, self._instruments, self._patience = config, instruments, patience
        self._key = secrets.token_urlsafe(32)  # nobody else tells this router anything
        self._steps: InProcess | None = None
        self._opening: asyncio.Task[None] | None = None
        self._failure = "it is being opened"
        self._deciders = ThreadPoolExecutor(max(2, int(usable_cores())), thread_name_prefix="decide")
        self._recorders = ThreadPoolExecutor(_RECORDERS, thread_name_prefix="record")

    async def open(self) -> None:
        self._opening = asyncio.create_task(self._open())
        await asyncio.wait([self._opening], timeout=self._patience)

    async def route(
        self,
        inputs: Mapping[str, bytes],
        parameters: Mapping[str, float | str],
        seconds: float,
        trace: TraceContext,
        turn: Turn = no_turn,
    ) -> RoutedDecision:
        row = {name: value.decode("utf-8", "replace") for name, value in inputs.items()}
        return await self._done(self._deciders, seconds, lambda steps: steps.decide(row, parameters))

    async def feedback(
        self, decision_id: str, score: float, cost: float | None, task: str, tags: str, owner: Owner, seconds: float
    ) -> Scored:
        row: dict[str, Any] = {"decision_id": decision_id, "score": score, "task": task, "tags": tags}
        if cost is not None:
            row["cost_usd"] = cost
        parameters = seal.of_owner(self._key, decision_id, *owner)
        return await self._done(self._recorders, seconds, lambda steps: steps.score(row, parameters))

    async def report(self, decisions: Sequence[Decision], outcomes: Sequence[Outcome], seconds: float) -> Spend:
        """An outcome comes after its decision, which this process has recorded itself a moment ago."""
        text = encode_records(decisions, outcomes).decode()
        parameters = {seal.SEAL: seal.seal(self._key, text)}
        ids = [outcome.decision_id for outcome in outcomes]

        def work(steps: InProcess) -> bytes:
            for decision_id in ids:
                steps.recorded(decision_id, _RECORD_SECONDS)
            return steps.tell({"records": text}, parameters)

        spend: Spend = orjson.loads(await self._done(self._recorders, seconds, work))
        return spend

    async def report_scores(self, scores: Sequence[Feedback], seconds: float) -> None:
        await self._sealed("records", encode_records(scores=scores), seconds)

    async def stored(self, asked: Asked, seconds: float) -> bytes:
        return await self._sealed("responses", encode_asked(asked), seconds)

    async def console(self, asked: Question, seconds: float) -> bytes:
        return await self._sealed("console", encode_question(asked), seconds)

    async def draw(self, draw: Draw, seconds: float) -> Levels:
        return rates.decode_levels(await self._sealed("rates", rates.encode(draw), seconds))

    async def lease(self, lease: Lease, seconds: float) -> bool:
        return await self._sealed("leases", leases.encode(lease), seconds) == leases.TAKEN

    async def decides(self, seconds: float = 1.0) -> bool:
        try:
            await self._done(self._deciders, seconds, lambda steps: steps.decide(_REHEARSAL, {"dry_run": True}))
        except HostError:
            return False
        return True

    async def aclose(self) -> None:
        if self._opening:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        for pool in (self._deciders, self._recorders):
            pool.shutdown(cancel_futures=True)
        if self._steps:
            self._steps.close()

    async def _open(self) -> None:
        pause = _PAUSES[0]
        while True:
            try:
                # In the pool, so that a gateway that ends meanwhile waits for it, and closes what was opened.
                await asyncio.get_running_loop().run_in_executor(self._recorders, self._make)
                return
            except Exception as error:
                self._failure = f"{type(error).__name__}: {error}"
                _log.error("this process can't decide yet, it tries again in %.3g s: %s", pause, self._failure)
            await asyncio.sleep(pause)
            pause = min(_PAUSES[1], 2 * pause)

    def _make(self) -> None:
        from router_backend.steps.in_process import InProcess  # onnxruntime is loaded by those who use it

        steps = InProcess(self._config, key=self._key, instruments=self._instruments)
        with contextlib.suppress(
            Exception
        ):  # the first decision of a session is the slowest: nobody waits for this one
            steps.decide(_REHEARSAL, {"dry_run": True})
        self._steps = steps

    async def _sealed(self, name: str, data: bytes, seconds: float) -> bytes:
        text = data.decode()
        parameters = {seal.SEAL: seal.seal(self._key, text)}
        return await self._done(self._recorders, seconds, lambda steps: steps.tell({name: text}, parameters))

    async def _done(self, pool: ThreadPoolExecutor, seconds: float, work: Callable[[InProcess], T]) -> T:
        if self._steps is None:
            raise HostError("unavailable", message=f"this process can't decide yet: {self._failure}")
        from router_backend.steps.refusal import Refused

        running = asyncio.get_running_loop().run_in_executor(pool, partial(work, self._steps))
        try:
            return await asyncio.wait_for(running, seconds)
        except TimeoutError:
            raise HostError("timeout") from None
        except Refused as refused:
            cause = _CAUSES.get(refused.code, "error")
            raise HostError(cause, refused.code, refused.message) from None
        except Exception as error:
            _log.exception("a step failed")
            raise HostError("error", message=f"{type(error).__name__}; see the gateway's log") from error


_CAUSES = {"OTHER_CONFIGURATION": "configuration", "UNAVAILABLE": "unavailable"}
