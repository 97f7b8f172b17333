"""OpenTelemetry traces by the GenAI conventions (https://opentelemetry.io/docs/specs/semconv/gen-ai/), as an option.

Spans are made when a request has ended, from the times that were taken anyway: a request pays nothing on its way. They
hold no prompt and no completion.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from router_backend.routing.decision import RoutedDecision
from router_backend.state.records import Outcome

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

    from router_backend.gateway.exchange import Exchange

_OPERATIONS = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "text_completion",
    "/v1/embeddings": "embeddings",
}


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
                f"telemetry.otlp_endpoint needs the extra `otel` ({error.name} is missing): pip install 'llm-router[otel]'"
            ) from error
        url = endpoint if endpoint.endswith("/v1/traces") else endpoint.rstrip("/") + "/v1/traces"
        self._provider = TracerProvider(resource=Resource({"service.name": "llm-router-gateway"}))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
        self._tracer: Tracer = self._provider.get_tracer("llm_router.gateway")

    def completion(self, exchange: Exchange, decision: RoutedDecision, outcome: Outcome, decided: float) -> None:
        """The spans of one completion: the whole, the decision, the upstream call. `decided`: seconds of the decision."""
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier = {name: exchange.header(name.encode()) or "" for name in ("traceparent", "tracestate")}
        parent = TraceContextTextMapPropagator().extract(carrier)
        end = time.time_ns()
        start = end - int(outcome.latency * 1e9)
        operation = _OPERATIONS.get(exchange.path, "chat")
        span = self._tracer.start_span(
            f"{operation} {outcome.served}",
            parent,
            trace.SpanKind.SERVER,
            _attributes(exchange, operation, decision, outcome),
            start_time=start,
        )
        if outcome.status >= 500:
            span.set_status(trace.StatusCode.ERROR)
        inside = trace.set_span_in_context(span, parent)
        if decided:
            child = self._tracer.start_span("route", inside, trace.SpanKind.CLIENT, start_time=start)
            child.end(start + int(decided * 1e9))
        if outcome.upstream is not None:
            called = self._tracer.start_span(
                f"{operation} {outcome.served}",
                inside,
                trace.SpanKind.CLIENT,
                {"gen_ai.operation.name": operation, "gen_ai.request.model": outcome.served},
                start_time=end - int(outcome.upstream * 1e9),
            )
            called.end(end)
        span.end(end)

    def close(self) -> None:
        """Send what waits; blocks for a few seconds at most."""
        self._provider.shutdown()


def _attributes(exchange: Exchange, operation: str, decision: RoutedDecision, outcome: Outcome) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": "llm-router",
        "gen_ai.request.model": decision.model if decision.reason == "named" else "auto",
        "gen_ai.response.model": outcome.served,
        "gen_ai.usage.input_tokens": outcome.usage.prompt,
        "gen_ai.usage.output_tokens": outcome.usage.completion,
        "http.response.status_code": outcome.status,
        "llm_router.request_id": exchange.request_id,
        "llm_router.decision_id": decision.decision_id,
        "llm_router.task": decision.task,
        "llm_router.reason": decision.reason,
    }
    if outcome.finish_reason:
        attributes["gen_ai.response.finish_reasons"] = [outcome.finish_reason]
    if outcome.cost is not None:
        attributes["llm_router.cost_usd"] = outcome.cost
    return attributes
