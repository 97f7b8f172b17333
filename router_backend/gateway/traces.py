"""OpenTelemetry traces by the GenAI conventions (https://opentelemetry.io/docs/specs/semconv/gen-ai/), as an option.

Spans hold no prompt and no completion.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from router_backend import distribution
from router_backend.core.decision import RoutedDecision
from router_backend.core.records import Outcome
from router_backend.core.tracing import TraceContext

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer


Operation = Literal["chat", "text_completion", "embeddings"]


class Traces:
    """Exports to one collector over OTLP/HTTP, from a thread of its own."""

    def __init__(self, endpoint: str) -> None:
        """Raises ValueError when the extra `otel` is not installed."""
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise ValueError(
                f"telemetry.otlp_endpoint needs the extra `otel` ({error.name} is missing): {distribution.add('otel')}"
            ) from error
        url = endpoint if endpoint.endswith("/v1/traces") else endpoint.rstrip("/") + "/v1/traces"
        self._provider = TracerProvider(resource=Resource({"service.name": "llm-router-gateway"}))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
        self._tracer: Tracer = self._provider.get_tracer("llm_router.gateway")

    def begin(self, operation: Operation, parent: TraceContext, started: float, request_id: str) -> Trace:
        """The trace of one completion; it is exported when it has ended. `started`: time.monotonic() of its arrival."""
        return Trace(self._tracer, operation, parent, started, request_id)

    def close(self) -> None:
        """Send what waits; blocks for a few seconds at most."""
        self._provider.shutdown()


class Trace:
    """The spans of one completion: the whole, the decision, the upstream call. They begin when the request came in."""

    def __init__(
        self, tracer: Tracer, operation: Operation, parent: TraceContext, started: float, request_id: str
    ) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer, self._operation, self._request_id = tracer, operation, request_id
        self._began = time.time_ns() - int((time.monotonic() - started) * 1e9)
        outside = TraceContextTextMapPropagator().extract(parent)
        self._span = tracer.start_span(operation, outside, trace.SpanKind.SERVER, start_time=self._began)
        self._inside = trace.set_span_in_context(self._span, outside)
        self._call: Span | None = None

    @property
    def context(self) -> TraceContext:
        """Of the whole, for Triton."""
        return _carried(self._inside)

    def call(self) -> TraceContext:
        """Begin the span of the upstream call; its context is the upstream's."""
        from opentelemetry import trace

        self._call = self._tracer.start_span(self._operation, self._inside, trace.SpanKind.CLIENT)
        return _carried(trace.set_span_in_context(self._call, self._inside))

    def end(self, decision: RoutedDecision, outcome: Outcome, decided: float) -> None:
        """All of it has ended. `decided`: seconds that the decision took, 0 when none was asked for."""
        from opentelemetry import trace

        end, name = time.time_ns(), f"{self._operation} {outcome.served}"
        if decided:
            child = self._tracer.start_span("route", self._inside, trace.SpanKind.CLIENT, start_time=self._began)
            child.end(self._began + int(decided * 1e9))
        if self._call:
            self._call.update_name(name)
            self._call.set_attributes(
                {"gen_ai.operation.name": self._operation, "gen_ai.request.model": outcome.served}
            )
            self._call.end(end)
        self._span.update_name(name)
        self._span.set_attributes(_attributes(self._request_id, self._operation, decision, outcome))
        if outcome.status >= 500:
            self._span.set_status(trace.StatusCode.ERROR)
        self._span.end(end)


class NoTraces:
    """In place of `Traces` where nothing is exported: the client's trace goes on to Triton and upstreams as it came."""

    def begin(self, operation: Operation, parent: TraceContext, started: float, request_id: str) -> NoTrace:
        return NoTrace(parent)

    def close(self) -> None:
        """Nothing waits."""


@dataclass(frozen=True, slots=True)
class NoTrace:
    """In place of `Trace`."""

    context: TraceContext

    def call(self) -> TraceContext:
        return self.context

    def end(self, decision: RoutedDecision, outcome: Outcome, decided: float) -> None:
        """Nothing is exported."""


def _carried(context: Context) -> TraceContext:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier, context)
    return carrier


def _attributes(request_id: str, operation: str, decision: RoutedDecision, outcome: Outcome) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": "llm-router",
        "gen_ai.request.model": decision.model if decision.reason == "named" else "auto",
        "gen_ai.response.model": outcome.served,
        "gen_ai.usage.input_tokens": outcome.usage.prompt,
        "gen_ai.usage.output_tokens": outcome.usage.completion,
        "http.response.status_code": outcome.status,
        "llm_router.request_id": request_id,
        "llm_router.decision_id": decision.decision_id,
        "llm_router.task": decision.task,
        "llm_router.reason": decision.reason,
    }
    if outcome.finish_reason:
        attributes["gen_ai.response.finish_reasons"] = [outcome.finish_reason]
    if outcome.cost is not None:
        attributes["llm_router.cost_usd"] = outcome.cost
    return attributes
