"""Traces reach a collector over OTLP/HTTP, follow the GenAI conventions, and hold no content."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.gateway.conftest import Serve
from tests.gateway.test_auth import CANARY
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import Script, ScriptedUpstream


@dataclass
class Collector:
    """Keeps what it was sent."""

    url: str = ""
    raw: list[bytes] = field(default_factory=list)

    def spans(self) -> list[Any]:
        return [
            span
            for data in self.raw
            for resource in ExportTraceServiceRequest.FromString(data).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    kept = Collector()

    async def take(request: web.Request) -> web.Response:
        kept.raw.append(await request.read())
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    kept.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield kept
    await runner.cleanup()


async def test_a_completion_is_traced_without_its_content(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, collector: Collector
) -> None:
    upstream.script(Script(text=[CANARY]))
    gateway = await serve(upstream, triton=triton, telemetry={"otlp_endpoint": collector.url})
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01", "authorization": f"Bearer {CANARY}"}
    response = await gateway.chat(CANARY, headers=headers)
    assert gateway.app.traces is not None
    await asyncio.to_thread(gateway.app.traces.close)
    spans = collector.spans()
    assert {span.name for span in spans} == {"chat a", "route"}
    assert {span.trace_id.hex() for span in spans} == {trace_id}
    (whole,) = [span for span in spans if span.parent_span_id.hex() == "b7ad6b7169203331"]
    assert {span.parent_span_id for span in spans if span is not whole} == {whole.span_id}
    attributes = {item.key: item.value for item in whole.attributes}
    assert attributes["gen_ai.operation.name"].string_value == "chat"
    assert attributes["gen_ai.request.model"].string_value == "auto"
    assert attributes["gen_ai.response.model"].string_value == "a"
    assert attributes["gen_ai.usage.output_tokens"].int_value == 3
    assert attributes["llm_router.decision_id"].string_value == response.headers["x-router-decision-id"]
    assert not any(CANARY.encode() in data for data in collector.raw)
