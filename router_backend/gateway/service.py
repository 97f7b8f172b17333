"""The composition root: builds the parts of one gateway process, and gives each what it uses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from router_backend.config import ConfigError, RouterConfig
from router_backend.config.runtime import state_dir
from router_backend.config.safety import THIS_MACHINE, Exposure
from router_backend.core.background import kept
from router_backend.forwarding.engine import Share
from router_backend.gateway.accounting import Ledger
from router_backend.gateway.batches.answering import Answering
from router_backend.gateway.batches.desk import Desk
from router_backend.gateway.completion import CompletionPipeline
from router_backend.gateway.heap import return_free_memory
from router_backend.gateway.hosts.choose import choose_host
from router_backend.gateway.http.bodies import Bodies
from router_backend.gateway.http.exchange import Handler
from router_backend.gateway.journal import Journal
from router_backend.gateway.judge import Judge
from router_backend.gateway.keys.budgets import Budgets
from router_backend.gateway.keys.rates import Rates
from router_backend.gateway.memory import Decisions, Sessions
from router_backend.gateway.metrics import EngineMetrics, Metrics
from router_backend.gateway.outcome_queue import OutcomeQueue
from router_backend.gateway.review import Reviewer
from router_backend.gateway.routes.admin import ConfigHandler, ReloadHandler
from router_backend.gateway.routes.batch_routes import batch_routes
from router_backend.gateway.routes.completions import CompletionsHandler
from router_backend.gateway.routes.console import ConsoleHandlers
from router_backend.gateway.routes.count_tokens import CountTokensHandler
from router_backend.gateway.routes.decisions import DecisionHandler
from router_backend.gateway.routes.feedback import FeedbackHandler
from router_backend.gateway.routes.health import LiveHandler, ReadyHandler
from router_backend.gateway.routes.metrics import MetricsHandler
from router_backend.gateway.routes.models import ModelHandler, ModelsHandler
from router_backend.gateway.routes.openapi import OpenAPIHandler
from router_backend.gateway.routes.playground import FILES, PlaygroundHandler
from router_backend.gateway.routes.responses import StoredResponseHandlers
from router_backend.gateway.routes.route import RouteHandler
from router_backend.gateway.runtime import Runtimes
from router_backend.gateway.score_queue import ScoreQueue
from router_backend.gateway.settler import RateSettler
from router_backend.gateway.stored import StoredResponses
from router_backend.gateway.surfaces.messages import MESSAGES
from router_backend.gateway.surfaces.openai import CHAT, COMPLETIONS, EMBEDDINGS
from router_backend.gateway.surfaces.responses import RESPONSES
from router_backend.gateway.traces import NoTraces, Traces
from router_backend.gateway.workers.calls import Answer, Answers, NoAnswer, Refused
from router_backend.gateway.workers.limits import SharedRates, SharedSpending
from router_backend.gateway.workers.place import ALONE, Place, socket_of
from router_backend.gateway.workers.sessions import SharedSessions
from router_backend.gateway.workers.shared import Shared
from router_backend.gateway.workers.siblings import Siblings
from router_backend.gateway.workers.slots import SharedSlots

if TYPE_CHECKING:
    from router_backend.gateway.extproc.server import ExternalProcessor

Routes = dict[str, dict[str, Handler]]
"""Handlers by path and method; `*` in a path stands for any one part, or at the end of models' for all further ones."""

_BUDGETS_SECONDS = 2.0
_RELOAD_SECONDS = 60.0
_INPUT_TOKENS = "response.input_tokens"  # what OpenAI calls a count
_BUDGETS_KNOWN = 2.0  # that a start waits for what was spent before; without Triton it goes on


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """How one gateway process is started."""

    config: RouterConfig
    triton_url: str = "http://127.0.0.1:8000"  # Triton's endpoint, as `kserve.open` takes it
    config_path: Path | None = None  # read again by a reload, and when it changes; None: there is nothing to reload
    exposure: Exposure = THIS_MACHINE
    records_key: str = ""  # seals what Triton is told; empty: Triton has none either
    journal: Path | None = None  # folder of outcomes that are not reported yet; None: they are lost with the process
    place: Place = ALONE  # among the workers of this gateway


class Service:
    """Parts of one process; everything of it belongs to one event loop, which calls `open` and `aclose`."""

    def __init__(self, settings: GatewaySettings) -> None:
        """Raises ValueError when an upstream's key, tokenizer or address is missing, or the extra that traces need, or the
        journal can't be written.
        """
        limits, endpoint = settings.config.gateway, settings.config.telemetry.otlp_endpoint
        self.settings, place = settings, settings.place
        self.siblings = None if place.alone else Siblings(place)
        shared = None if place.alone else Shared(place)
        self.bodies = Bodies(place.share(limits.bodies_bytes))
        self.metrics = Metrics() if place.alone else Metrics(place.metrics, place.index)
        self.budgets = Budgets(SharedSpending(shared) if shared else None)
        self.rates = SharedRates(shared) if shared else Rates()
        self.runtimes = Runtimes(
            settings.config,
            settings.config_path,
            settings.exposure,
            EngineMetrics(self.metrics),
            self.rates,
            self.budgets,
            Share(place.count, partial(SharedSlots, shared)) if shared else Share(),
            self._reload_together if self.siblings else None,
        )
        self.router = choose_host(
            settings.config.routing,
            settings.config_path,
            settings.triton_url,
            settings.records_key,
            self.metrics.registry,
        )
        self.journal = Journal(settings.journal, self.metrics.journal_failures.inc) if settings.journal else None
        self.outcomes = OutcomeQueue(
            self.router,
            place.share(limits.reports_kept),
            self.metrics.reports_lost.inc,
            self.budgets.settled,
            self.journal,
            self.metrics.failed,
        )
        self.scores = ScoreQueue(self.router, self.metrics.scores_lost.inc, on_failure=self.metrics.failed)
        self.judge = Judge(self.runtimes, self.budgets, self.outcomes, self.scores, self.metrics)
        self.reviewer = Reviewer(self.scores, self.judge, self.metrics)
        self.traces = Traces(endpoint) if endpoint else NoTraces()
        self._sessions = SharedSessions(shared) if shared else Sessions(limits.sessions_kept)
        self._decisions = Decisions(limits.decisions_kept)
        self._ledger = Ledger(
            self.outcomes,
            self.budgets,
            self.runtimes.bills,
            self.runtimes.caches,
            self._sessions,
            self._decisions,
            self.metrics,
            lambda key, tokens: self.runtimes.current.keys.limits.spend(key, tokens),
        )
        self._stored = StoredResponses(self.router, self.metrics.responses_not_stored)
        self._pipeline = CompletionPipeline(
            self.router, self._sessions, self.traces, self._ledger, self.reviewer, self._stored
        )
        self.batches = self._desk(settings.config.batches.place)
        self.settler = RateSettler(
            self.rates,
            self.router,
            lambda: self.runtimes.current.keys.limits.per_minute,
            place.gateway(),
            self.metrics.rates_away,
        )
        self.processor = self._external_processor()
        self._tasks: list[asyncio.Task[None]] = []
        self._ready = ReadyHandler(self.runtimes, self.router, self.outcomes, self.journal, self.siblings)
        self._answers = self._answers_to_siblings()
        self.metrics.watch(lambda: self.runtimes.current.engine.health(), lambda: self.outcomes.depth)

    def routes(self) -> Routes:
        """What is served where."""
        runtimes, router, metrics = self.runtimes, self.router, self.metrics
        pipeline, stored = self._pipeline, self._stored
        kept = StoredResponseHandlers(runtimes, stored)
        in_flight = metrics.in_flight
        return {
            "/v1/chat/completions": {"POST": CompletionsHandler(CHAT, runtimes, pipeline, in_flight)},
            "/v1/completions": {"POST": CompletionsHandler(COMPLETIONS, runtimes, pipeline, in_flight)},
            "/v1/embeddings": {"POST": CompletionsHandler(EMBEDDINGS, runtimes, pipeline, in_flight)},
            "/v1/responses": {"POST": CompletionsHandler(RESPONSES, runtimes, pipeline, in_flight)},
            "/v1/responses/*": {"GET": kept.handler(kept.show), "DELETE": kept.handler(kept.remove)},
            "/v1/responses/*/cancel": {"POST": kept.handler(kept.cancel)},
            "/v1/responses/*/input_items": {"GET": kept.handler(kept.input_items)},
            "/v1/messages": {"POST": CompletionsHandler(MESSAGES, runtimes, pipeline, in_flight)},
            "/v1/messages/count_tokens": {"POST": CountTokensHandler(runtimes, MESSAGES)},
            "/v1/responses/input_tokens": {
                "POST": CountTokensHandler(runtimes, RESPONSES, stored, object=_INPUT_TOKENS)
            },
            "/v1/chat/completions/input_tokens": {"POST": CountTokensHandler(runtimes, CHAT, object=_INPUT_TOKENS)},
            **batch_routes(self.batches, runtimes),
            "/v1/models": {"GET": ModelsHandler(runtimes)},
            "/v1/models/*": {"GET": ModelHandler(runtimes)},
            "/v1/route": {"POST": RouteHandler(runtimes, router, self._sessions, self._decisions)},
            "/v1/decisions/*": {"GET": DecisionHandler(runtimes, self._decisions, self.siblings)},
            "/v1/feedback": {
                "POST": FeedbackHandler(runtimes, router, self.outcomes, self._decisions, metrics, self.siblings)
            },
            "/health/live": {"GET": LiveHandler(self.siblings)},
            "/health": {"GET": self._ready},
            "/health/ready": {"GET": self._ready},
            "/metrics": {"GET": MetricsHandler(metrics, self.siblings)},
            "/admin/reload": {"POST": ReloadHandler(runtimes)},
            "/admin/config": {"GET": ConfigHandler(runtimes)},
            **ConsoleHandlers(runtimes, router).routes(),
            "/openapi.json": {"GET": OpenAPIHandler()},
            **{path: {"GET": PlaygroundHandler(runtimes, path)} for path in FILES},
        }

    def _desk(self, place: str | None) -> Desk | None:
        """Raises ValueError: the place can't be used."""
        if place is None:
            return None
        surfaces = {
            "/v1/chat/completions": CHAT,
            "/v1/responses": RESPONSES,
            "/v1/completions": COMPLETIONS,
            "/v1/embeddings": EMBEDDINGS,
            "/v1/messages": MESSAGES,
        }
        answering = Answering(
            self._pipeline, self.runtimes, self.bodies, surfaces, self.budgets, self.metrics.in_flight
        )
        return Desk(
            place,
            state_dir(),
            answering,
            self.router,
            lambda: self.runtimes.current.config,
            self.metrics,
            self.metrics.failed,
        )

    async def open(self) -> None:
        """Start what runs in the background."""
        await self.router.open()
        self.runtimes.follow()
        self.runtimes.discover(self.metrics.failed)
        self.budgets.begin(self.outcomes.adopt())
        self.outcomes.start()
        self.scores.start()
        self.reviewer.start()
        self.judge.start()
        self._background("lag", self.metrics.sample_lag)
        if self.runtimes.current.keys.budgeted:
            await self.outcomes.refresh(_BUDGETS_KNOWN)
        self._background("budgets", self._follow_budgets)
        self._background("rates", self.settler.run)
        self._background("memory", return_free_memory)
        if self.batches:
            self._background("batches", self.batches.runner.run)
        if self.processor:
            await self.processor.start()
        if self._answers:
            await self._answers.open()

    async def aclose(self) -> None:
        """Send the outcomes that are left, and close all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.batches:
            await self.batches.runner.aclose()  # its answers are still to be reported
        if self.processor:
            await self.processor.aclose(self.settings.config.gateway.drain_seconds)
        await self.reviewer.aclose()
        await self.judge.aclose()  # what it has spent is still to be reported
        await self.outcomes.aclose()
        await self.scores.aclose()
        if self.journal:
            self.journal.close()
        await self.runtimes.aclose()
        await self.router.aclose()
        await asyncio.to_thread(self.traces.close)
        if self._answers:
            await self._answers.aclose()
        self.metrics.put_down()

    def _answers_to_siblings(self) -> Answers | None:
        place = self.settings.place
        if place.alone:
            return None

        async def alive() -> None:
            """This process reads its questions."""

        async def gauges() -> None:
            self.metrics.refresh()

        async def decision(decision_id: str, seconds: float) -> dict[str, Any]:
            known = self._decisions.find(decision_id)
            if known or self.outcomes.waits(decision_id):
                await self.outcomes.settled(decision_id, seconds)
            return {"known": known.to_json() if known else None, "waits": self.outcomes.waits(decision_id)}

        async def prepare(path: str) -> None:
            try:
                self.runtimes.prepare(Path(path))
            except ConfigError as error:
                raise Refused(str(error)) from None

        async def use() -> None:
            if not self.runtimes.use_prepared():
                raise Refused("it has been started again meanwhile")

        answers: dict[str, Answer] = {
            "alive": alive,
            "gauges": gauges,
            "ready": self._ready.status,
            "decision": decision,
            "prepare": prepare,
            "use": use,
        }
        return Answers(socket_of(place.folder, place.index), answers)

    async def _reload_together(self) -> None:
        assert self.siblings
        try:
            await self.siblings.parent("reload", _RELOAD_SECONDS)
        except (NoAnswer, Refused) as error:
            raise ConfigError(str(error)) from None

    def _external_processor(self) -> ExternalProcessor | None:
        config = self.settings.config
        if (port := config.gateway.extproc_port) is None:
            return None
        # Not at the top: importing grpc takes its time.
        from router_backend.gateway.extproc.passage import Parts
        from router_backend.gateway.extproc.server import ExternalProcessor

        parts = Parts(self.runtimes, self.router, self._ledger, self._sessions, self.traces, self.bodies)
        limits = config.gateway
        return ExternalProcessor(parts, self.settings.exposure.host, port, limits.max_body_bytes, config.security.tls)

    async def _follow_budgets(self) -> None:
        """Hear what other gateways have let keys spend."""
        while True:
            await asyncio.sleep(_BUDGETS_SECONDS)
            if self.runtimes.current.keys.budgeted:
                await self.outcomes.refresh(_BUDGETS_SECONDS)

    def _background(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.create_task(kept(name, work, self.metrics.failed)))
