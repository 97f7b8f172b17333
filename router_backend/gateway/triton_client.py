"""Triton as a router: client of its `decide` and `feedback` models."""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson

from router_backend.core import seal
from router_backend.core.decision import RoutedDecision
from router_backend.core.records import Decision, Feedback, Outcome, Scored
from router_backend.core.tracing import TraceContext
from router_backend.gateway.kserve.inference import (
    NOT_SERVED,
    Inference,
    Outputs,
    TritonError,
    number,
    text,
)
from router_backend.gateway.kserve.open import open_wire
from router_backend.gateway.prompts import AskedPrompts
from router_backend.gateway.router_host import Owner, Turn, no_turn
from router_backend.prompts.hints import QUESTION
from router_backend.state import leases, rates
from router_backend.state.codec import encode_records
from router_backend.state.console import Question, encode_question
from router_backend.state.leases import Lease
from router_backend.state.rates import Draw, Levels
from router_backend.state.responses import Asked, encode_asked
from router_backend.state.spend import Spend

__all__ = ["TritonClient", "TritonError"]

_DECIDE = "decide"  # `route` with one output
_ROUTER = "router"
_REHEARSAL = {"text_input": b"Are you there?"}
_JSON = frozenset(("request", "candidates"))  # inputs
_AGAIN_SECONDS = 60.0  # a router that has no answer to a question is asked the next one after so long


class TritonClient:
    """Asks one Triton. Decisions and records have connections of their own: a store that is slow holds up no decision."""

    def __init__(self, url: str, key: str = "") -> None:
        """`url`: see `kserve.open`; `key`: by which Triton knows that records are a gateway's; empty: it asks for none."""
        self._decisions, self._records, self._key = open_wire(url), open_wire(url), key
        self._asked = AskedPrompts()
        self._whole_from = 0.0  # by time.monotonic(): from when on `router` is expected to do all steps by itself

    async def open(self) -> None:
        """Connections are opened by the first call."""

    async def route(
        self,
        inputs: Mapping[str, bytes],
        parameters: Mapping[str, float | str],
        seconds: float,
        trace: TraceContext,
        turn: Turn = no_turn,
    ) -> RoutedDecision:
        """The decision for `inputs` (STRING tensors of `decide` by name), asked in a caller's trace.

        Raises:
            TritonError: no decision within `seconds`.
        """
        data, classified = await self._ask(inputs, parameters, seconds, trace, turn)
        decision = _decision(data)
        if classified and not decision.reason.startswith("fallback"):
            self._asked.add(classified)
        return decision

    async def _ask(
        self,
        inputs: Mapping[str, bytes],
        parameters: Mapping[str, float | str | bool],
        seconds: float,
        trace: TraceContext,
        turn: Turn,
    ) -> tuple[bytes, str]:
        """The decision of `router` alone where it does all steps, or of `decide`'s; in the second case, what `decide` has classified.

        Where `router` doesn't classify, a prompt that was classified lately still needs it alone.
        """
        until, prompt = time.monotonic() + seconds, ""
        whole = until - seconds >= self._whole_from
        if not whole:
            prompt = turn()
        if whole or (prompt and self._asked.lately(prompt)):
            decision = await self._in_one_step(inputs, parameters, seconds, trace)
            if decision:
                return decision, ""
            if whole:
                self._whole_from, prompt = time.monotonic() + _AGAIN_SECONDS, turn()
            seconds = max(0.001, until - time.monotonic())
        tensors = tuple(text(name, value) for name, value in inputs.items())
        outputs = await self._decide(Inference(_DECIDE, tensors, parameters, ("decision",), trace), seconds)
        return _output(outputs, "decision")[4:], prompt

    async def _in_one_step(
        self,
        inputs: Mapping[str, bytes],
        parameters: Mapping[str, float | str | bool],
        seconds: float,
        trace: TraceContext,
    ) -> bytes:
        """What `router` decides by itself; empty if it can't, or knows no such questions."""
        # What is JSON already is neither quoted nor copied.
        question = orjson.dumps(
            {name: orjson.Fragment(value) if name in _JSON else value.decode() for name, value in inputs.items()}
        )
        inference = Inference(_ROUTER, (text(QUESTION, question),), parameters, ("decision",), trace)
        try:
            return _output(await self._decisions.infer(inference, seconds), "decision")[4:]
        except TritonError as error:
            if error.cause != "error" or error.code == "INVALID_ARGUMENT":
                raise
            return b""

    async def feedback(
        self, decision_id: str, score: float, cost: float | None, task: str, tags: str, owner: Owner, seconds: float
    ) -> Scored:
        """Give a score; it is durable when this returns."""
        parameters = seal.of_owner(self._key, decision_id, *owner)
        tensors = [text("decision_id", decision_id.encode()), number("score", score)]
        if cost is not None:
            tensors.append(number("cost_usd", cost))
        if task:
            tensors.append(text("task", task.encode()))
        if tags:
            tensors.append(text("tags", tags.encode()))
        outputs = await self._records.infer(Inference("feedback", tuple(tensors), parameters), seconds)
        counted = outputs.get("counted") or struct.pack("<f", score)  # an older Triton doesn't say it
        return Scored(
            _number("reward", _output(outputs, "reward")),
            _number("counted", counted),
            outputs.get("duplicate") == b"\x01",
        )

    async def report(self, decisions: Sequence[Decision], outcomes: Sequence[Outcome], seconds: float) -> Spend:
        """Write decisions and outcomes; they are durable when this returns. What keys have spent then, if Triton says it.

        Raises:
            TritonError: they are not durable, as far as is known.
            ValueError: a record can't be written down.
        """
        outputs = await self._report(encode_records(decisions, outcomes), seconds)
        if "spend" not in outputs:
            return {}
        try:
            spend: Spend = orjson.loads(outputs["spend"][4:])
        except ValueError as error:
            raise TritonError("error", message=f"feedback answered with a spend that is not JSON ({error})") from error
        return spend

    async def report_scores(self, scores: Sequence[Feedback], seconds: float) -> None:
        """Pass on implicit scores. They are on their way when this returns, and not yet durable.

        Raises:
            TritonError: they were not taken.
        """
        await self._report(encode_records(scores=scores), seconds)

    async def stored(self, asked: Asked, seconds: float) -> bytes:
        """What the store says about a stored response; see state.responses.

        Raises:
            TritonError: it can't say.
        """
        outputs = await self._sealed("responses", encode_asked(asked), seconds)
        return _output(outputs, "response")[4:]

    async def console(self, asked: Question, seconds: float) -> bytes:
        """What the store says to an operator's question; see state.console.

        Raises:
            TritonError: it can't say.
        """
        outputs = await self._sealed("console", encode_question(asked), seconds)
        return _output(outputs, "response")[4:]

    async def draw(self, draw: Draw, seconds: float) -> Levels:
        """Tell what was taken from the buckets that all gateways share; returns what is left.

        Raises:
            TritonError: they are not told, as far as is known.
        """
        outputs = await self._sealed("rates", rates.encode(draw), seconds)
        try:
            return rates.decode_levels(_output(outputs, "response")[4:])
        except ValueError as error:
            raise TritonError("error", message=f"feedback answered without usable levels ({error})") from error

    async def lease(self, lease: Lease, seconds: float) -> bool:
        """Take or prolong a lease; False while somebody else holds it.

        Raises:
            TritonError: nobody knows.
        """
        outputs = await self._sealed("leases", leases.encode(lease), seconds)
        return _output(outputs, "response")[4:] == leases.TAKEN

    async def _sealed(self, name: str, data: bytes, seconds: float) -> Outputs:
        """The answer of `feedback` to an input that only gateways send."""
        parameters = {seal.SEAL: seal.seal(self._key, data)} if self._key else {}
        return await self._records.infer(Inference("feedback", (text(name, data),), parameters), seconds)

    async def _report(self, records: bytes, seconds: float) -> Outputs:
        outputs = await self._sealed("records", records, seconds)
        if _output(outputs, "accepted") != b"\x01":
            raise TritonError("error", message="feedback did not accept the records")
        return outputs

    async def decides(self, seconds: float = 1.0) -> bool:
        """Whether a decision comes within `seconds`: asked for through the whole chain, and not recorded.

        A model that is loaded may still be cold, or frozen: its first answer is the proof, and warms it.
        """
        try:
            await self._ask(_REHEARSAL, {"dry_run": True}, seconds, {}, no_turn)
        except TritonError:
            return False
        return True

    async def aclose(self) -> None:
        await self._decisions.aclose()
        await self._records.aclose()

    async def _decide(self, inference: Inference, seconds: float) -> Outputs:
        try:
            return await self._decisions.infer(inference, seconds)
        except TritonError as error:
            if error.code != NOT_SERVED:
                raise
            # An older Triton, or a repository of somebody's own: `route` gives the same and more.
            return await self._decisions.infer(replace(inference, model="route"), seconds)


def _number(name: str, data: bytes) -> float:
    if len(data) != 4:
        raise TritonError("error", message=f"feedback answered without a usable {name}")
    return float(struct.unpack("<f", data)[0])


def _decision(data: bytes) -> RoutedDecision:
    try:
        return RoutedDecision.from_json(data)
    except (TypeError, ValueError) as error:
        raise TritonError("error", message=f"Triton answered without a usable decision ({error})") from error


def _output(outputs: Outputs, name: str) -> bytes:
    if name not in outputs:
        raise TritonError("error", message=f"Triton answered without {name!r}")
    return outputs[name]
