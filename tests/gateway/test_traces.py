"""Traces reach a collector over OTLP/HTTP, follow the GenAI conventions, and hold no content."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.gateway.conftest import EACH_WIRE, Serve
from tests.gateway.keys.test_auth import CANARY
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


TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


@EACH_WIRE
@pytest.mark.parametrize("stream", [False, True])
async def test_the_clients_trace_is_passed_on_to_triton_and_to_the_model(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, stream: bool
) -> None:
    gateway = await serve(upstream, triton=triton)
    headers = [("traceparent", PARENT), ("tracestate", "one=1"), ("tracestate", "two=2")]
    assert (await gateway.chat(headers=headers, stream=stream)).status_code == 200
    for told in (triton.traces[0], upstream.request_headers[0]):
        assert (told["traceparent"], told["tracestate"]) == (PARENT, "one=1,two=2")
    assert (await gateway.chat(stream=stream)).status_code == 200
    assert "traceparent" not in upstream.request_headers[1]


@pytest.mark.parametrize(
    "parents", [["x"], [PARENT.upper()], [PARENT + "-more"], [PARENT.replace(SPAN, "0" * 16)], [PARENT, PARENT]]
)
async def test_what_is_no_trace_is_not_passed_on(serve: Serve, upstream: ScriptedUpstream, parents: list[str]) -> None:
    gateway = await serve(upstream)
    headers = [*(("traceparent", parent) for parent in parents), ("tracestate", "one=1")]
    assert (await gateway.chat(model="a", headers=headers)).status_code == 200
    assert not {"traceparent", "tracestate"} & upstream.request_headers[0].keys()


async def test_the_model_is_told_the_span_of_its_call(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, collector: Collector
) -> None:
    gateway = await serve(upstream, triton=triton, telemetry={"otlp_endpoint": collector.url})
    await gateway.chat(headers={"traceparent": PARENT, "tracestate": "one=1"})
    assert gateway.app.traces is not None
    await asyncio.to_thread(gateway.app.traces.close)
    spans = collector.spans()
    (whole,) = [span for span in spans if span.parent_span_id.hex() == SPAN]
    (call,) = [span for span in spans if span.name == "chat a" and span.parent_span_id == whole.span_id]
    assert upstream.request_headers[0]["traceparent"] == f"00-{TRACE}-{call.span_id.hex()}-01"
    assert upstream.request_headers[0]["tracestate"] == "one=1"
    assert triton.traces[0]["traceparent"] == f"00-{TRACE}-{whole.span_id.hex()}-01"


async def test_a_completion_is_traced_without_its_content(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, collector: Collector
) -> None:
    upstream.script(Script(text=[CANARY]))
    gateway = await serve(upstream, triton=triton, telemetry={"otlp_endpoint": collector.url})
    headers = {"traceparent": PARENT, "authorization": f"Bearer {CANARY}"}
    response = await gateway.chat(CANARY, headers=headers)
    assert gateway.app.traces is not None
    await asyncio.to_thread(gateway.app.traces.close)
    spans = collector.spans()
    assert {span.name for span in spans} == {"chat a", "route"}
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    (whole,) = [span for span in spans if span.parent_span_id.hex() == SPAN]
    assert {span.parent_span_id for span in spans if span is not whole} == {whole.span_id}
    attributes = {item.key: item.value for item in whole.attributes}
    assert attributes["gen_ai.operation.name"].string_value == "chat"
    assert attributes["gen_ai.request.model"].string_value == "auto"
    assert attributes["gen_ai.response.model"].string_value == "a"
    assert attributes["gen_ai.usage.output_tokens"].int_value == 3
    assert attributes["llm_router.decision_id"].string_value == response.headers["x-router-decision-id"]
    assert not any(CANARY.encode() in data for data in collector.raw)
