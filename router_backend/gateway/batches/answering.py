"""One line through the way of every request: the limits of its key, the router, the engine, the ledger, the access log."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from router_backend.core.errors import OpenAIError
from router_backend.core.jsonio import dump, load
from router_backend.core.large import off_loop
from router_backend.forwarding.failure import Failure
from router_backend.gateway.batches.batchable import Batchable, batchable
from router_backend.gateway.completion import NO_PLACE, CompletionPipeline
from router_backend.gateway.http.access_log import log_access
from router_backend.gateway.http.bodies import Bodies
from router_backend.gateway.http.errors import ApiError, Header
from router_backend.gateway.http.exchange import TRANSLATED, Exchange, Message
from router_backend.gateway.keys.budgets import Budgets, Hold
from router_backend.gateway.plan import Plan
from router_backend.gateway.request import CompletionRequest
from router_backend.gateway.runtime import Runtime, Runtimes
from router_backend.gateway.surfaces.surface import Surface
from router_backend.gateway.tallies import Level

_ROUTE = "/v1/batches"  # in the access log
_ROOM_SECONDS = 600.0
_DECISION = {
    b"x-router-decision-id": "decision_id",
    b"x-router-model": "model",
    b"x-router-task": "task",
    b"x-router-reason": "reason",
}
_log = logging.getLogger("llm_router.gateway")


class _Shape(msgspec.Struct):
    stream: Any = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What a client would have got."""

    status: int
    request_id: str
    body: Any
    router: dict[str, str]  # what the answer's headers say of its decision
    retry_after: float | None = None  # seconds after which the same may be asked again
    waits: bool = False  # it was never asked: its key's limits, or others' requests, come first


class Answering:
    """Answers requests that nobody waits for."""

    def __init__(
        self,
        pipeline: CompletionPipeline,
        runtimes: Runtimes,
        bodies: Bodies,
        surfaces: Mapping[str, Surface],
        budgets: Budgets,
        in_flight: Level,
    ) -> None:
        """`surfaces`: by the URL that lines name."""
        self._budgets = budgets
        self._pipeline, self._runtimes, self._bodies, self._in_flight = pipeline, runtimes, bodies, in_flight
        self._surfaces = surfaces

    @property
    def endpoints(self) -> tuple[str, ...]:
        """URLs that lines may name."""
        return tuple(self._surfaces)

    async def answer(
        self, key: str, url: str, body: bytes, plan: Plan | None = None, batched: bool = False
    ) -> Reply | Batchable:
        """The answer to one request of a key, where nothing else is called. A failure is an answer, too.

        `plan`: that was made of it before. `batched`: if its model's upstream has a Batch API, it isn't called: what goes there
        is returned.
        """
        surface, sent = self._surfaces[url], _Sent()
        exchange, way = self._exchange(key, url, sent), _Way(plan, batched)
        waits = False
        room = await self._bodies.take(TRANSLATED * len(body), _ROOM_SECONDS)
        try:
            with self._runtimes.current as runtime, self._in_flight:
                try:
                    waits = True
                    shown = runtime.keys.on_behalf(key, "chat")
                    runtime.keys.afford(shown)
                    waits = False
                    _check(body)
                    await self._pipeline.complete(exchange, body, surface, shown, runtime, unhurried=way)
                    if way.found:
                        return way.found
                except ApiError as error:
                    waits = (waits and error.error.status == 429) or error.error.code == NO_PLACE
                    await exchange.fail(error.error, error.headers)
                except Exception as error:
                    # Without its message, which may repeat what the client sent.
                    where = "".join(traceback.format_tb(error.__traceback__))
                    _log.error("line %s of a batch failed: %s\n%s", exchange.request_id, type(error).__name__, where)
                    sent.clear()
                    await exchange.fail(OpenAIError("The gateway failed", 500, "server_error", "internal_error"))
        finally:
            self._bodies.give_back(room)
        if not waits:
            self._log(exchange)
        return await sent.reply(exchange, waits)

    async def settle(self, key: str, url: str, body: bytes, plan: Plan, given: bytes, endpoint: str) -> Reply | None:
        """The answer to a request that went to a Batch API, which has `given` it. It is accounted for, at that price.

        None: it is no answer.
        """
        surface, sent = self._surfaces[url], _Sent()
        exchange = self._exchange(key, url, sent)
        room = await self._bodies.take(TRANSLATED * (len(body) + len(given)), _ROOM_SECONDS)
        try:
            with self._runtimes.current as runtime:
                await self._pipeline.settle(exchange, body, surface, runtime, plan, given, endpoint)
        except (ApiError, Failure) as error:
            _log.warning("what %s has answered in a batch can't be used: %s", plan.arms[0], type(error).__name__)
            return None
        finally:
            self._bodies.give_back(room)
        self._log(exchange)
        return await sent.reply(exchange, False)

    def hold(self, key: str, usd: float) -> Hold:
        """Count what requests of a key are expected to cost as spent already."""
        return self._budgets.hold(key, usd)

    def _exchange(self, key: str, url: str, sent: _Sent) -> Exchange:
        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": url,
            "headers": [],
            "query_string": b"",
            "client": None,
        }
        exchange = Exchange(scope, _nothing, sent.take, self._bodies)
        exchange.key, exchange.error_shape = key, self._surfaces[url].error
        return exchange

    def _log(self, exchange: Exchange) -> None:
        config = self._runtimes.current.config
        if config.gateway.access_log:
            log_access(exchange, _ROUTE, config.telemetry.cloudwatch_namespace)


@dataclass(slots=True)
class _Way:
    """See `Unhurried`."""

    plan: Plan | None
    batched: bool
    found: Batchable | None = None

    def elsewhere(self, request: CompletionRequest, plan: Plan, runtime: Runtime) -> bool:
        if self.batched:
            self.found = batchable(request, plan, runtime.config)
        return self.found is not None


def _check(body: bytes) -> None:
    """Raises ApiError: it asks for a stream, which no file can hold."""
    try:
        asked = msgspec.json.decode(body, type=_Shape)
    except msgspec.MsgspecError:
        return  # the surface says what is wrong
    if asked.stream:
        raise ApiError(400, "A batch has no streams: leave 'stream' out", code="unsupported_parameter", param="stream")


class _Sent:
    """Collects a response."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._status, self._headers, self._body = 0, list[Header](), bytearray()

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status, self._headers = message["status"], list(message["headers"])
        else:
            self._body += message.get("body", b"")

    async def reply(self, exchange: Exchange, waits: bool) -> Reply:
        headers = dict(self._headers)
        wait = headers.get(b"retry-after")
        return Reply(
            status=self._status,
            request_id=exchange.request_id,
            body=await off_loop(len(self._body), _in_one_line, bytes(self._body)),
            router={name: headers[header].decode() for header, name in _DECISION.items() if header in headers},
            retry_after=float(wait) if wait else None,
            waits=waits,
        )


def _in_one_line(body: bytes) -> orjson.Fragment | None:
    """JSON as a row of a file can hold it: a server's own may have lines."""
    try:
        return orjson.Fragment(dump(load(body)))
    except ValueError:
        return None


async def _nothing() -> Message:
    """A client that has sent all and stays; never asked, since nobody watches it."""
    raise AssertionError("a line has no connection")
