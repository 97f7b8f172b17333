"""Time limits, retries, circuit breaking, request limits."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from router_backend.config.base import Section

Seconds = Annotated[float, Field(gt=0)]


class Timeouts(Section):
    """In seconds. Only `connect` and `total` apply to an answer that comes whole."""

    connect: Annotated[Seconds, Field(description="to open a connection")] = 2
    first_token: Annotated[Seconds, Field(description="from the call to the first chunk")] = 30
    idle: Annotated[Seconds, Field(description="between two chunks")] = 30
    total: Annotated[Seconds, Field(description="of the whole answer, retries and fallbacks included")] = 600

    example: ClassVar[str] = "{connect: 2, first_token: 60, idle: 30, total: 600}"


class Retries(Section):
    """Retries and fallbacks happen only before the first byte."""

    attempts: Annotated[int, Field(ge=1, description="calls of one arm, the first included")] = 2
    backoff: Annotated[float, Field(ge=0, description="seconds before the first retry; doubled, with full jitter")] = (
        0.1
    )
    max_backoff: Annotated[Seconds, Field(description="longest pause before a retry")] = 2.0
    budget: Annotated[
        float, Field(ge=0, le=1, description="retries as a share of requests over the last ten seconds")
    ] = 0.2
    budget_minimum: Annotated[
        int,
        Field(
            ge=0,
            description="retries always allowed in ten seconds, for a router with little traffic; none if budget is 0",
        ),
    ] = 10
    fallbacks: Annotated[int, Field(ge=0, description="further arms tried for a routed request")] = 2

    example: ClassVar[str] = "{attempts: 3, backoff: 0.2, fallbacks: 1}"


class Breaker(Section):
    """Opens an upstream after consecutive failures, then lets single probes through."""

    failures: Annotated[int, Field(ge=1, description="consecutive failures that open it")] = 5
    open_seconds: Annotated[Seconds, Field(description="time without calls, before the first probe")] = 10
    probes: Annotated[int, Field(ge=1, description="successes that close it again")] = 2

    example: ClassVar[str] = "{failures: 3, open_seconds: 30}"


class RoutingConfig(Section):
    """Who decides, and the limits of the decision."""

    host: Annotated[
        Literal["triton", "in_process"],
        Field(
            description="`in_process`: the gateway decides and learns by itself, without Triton, and opens `state`; read at"
            " the start"
        ),
    ] = "triton"
    fallback: Annotated[
        Literal["default_model", "in_process"],
        Field(
            description="decides if Triton doesn't; `in_process`: the gateway itself, with the learned state in `state`,"
            " for about 100 MB of memory in each worker; read at the start"
        ),
    ] = "default_model"
    deadline_ms: Annotated[float, Field(gt=0, description="a slower decision is replaced by that of `fallback`")] = 50.0
    classifier_cache_bytes: Annotated[
        int,
        Field(
            ge=1024 * 1024,
            description="bytes of the cache for classifications of repeated prompts, in each router; read at the start",
        ),
    ] = 16 * 1024 * 1024

    example: ClassVar[str] = "{host: in_process, deadline_ms: 200, classifier_cache_bytes: 67108864}"


class GatewayConfig(Section):
    """The HTTP server."""

    workers: Annotated[
        int | None,
        Field(
            gt=0,
            le=256,
            description="processes that serve the port, read at the start; default: one per available core, with 256 MB of"
            " memory for each, at most 8",
        ),
    ] = None
    max_body_bytes: Annotated[int, Field(gt=0, description="a larger body is refused")] = 8 * 1024 * 1024
    bodies_bytes: Annotated[
        int,
        Field(
            gt=0,
            description="memory for all bodies over 64 KB in progress. Each counts with its copies: twice its bytes, six"
            " times if it is translated; further ones wait",
        ),
    ] = 128 * 1024 * 1024
    body_seconds: Annotated[
        float, Field(gt=0, description="time limit for a complete body; a slower one is refused")
    ] = 60.0
    max_header_bytes: Annotated[int, Field(gt=0, description="all headers of a request together")] = 32 * 1024
    header_seconds: Annotated[
        float, Field(gt=0, description="time limit for a complete head; a slower one is refused")
    ] = 10.0
    keep_alive_seconds: Annotated[float, Field(gt=0, description="an idle connection is closed after this time")] = 75.0
    write_seconds: Annotated[
        float, Field(gt=0, description="a client that reads nothing of its answer for this long is disconnected")
    ] = 30.0
    max_connections: Annotated[
        int,
        Field(
            gt=0,
            description="open connections; a new one beyond that closes the one idle longest; the limit of open files may be lower",
        ),
    ] = 10_000
    access_log: Annotated[bool, Field(description="one JSON line per request, without any content")] = True
    decisions_kept: Annotated[
        int, Field(ge=0, description="recent decisions for /v1/decisions/{id}, of each worker")
    ] = 1000
    sessions_kept: Annotated[
        int, Field(gt=0, description="answered prompts by which sessions are recognised, one for each turn")
    ] = 30_000
    reports_kept: Annotated[int, Field(gt=0, description="outcomes that wait while Triton is down")] = 10_000
    report_wait_ms: Annotated[
        float, Field(ge=0, description="no longer used, because no answer waits for its record")
    ] = 100.0
    durable_seconds: Annotated[
        float,
        Field(
            ge=0,
            description="how long the end of an answer may wait until its record is stored, for platforms that freeze"
            " the process between requests (AWS Lambda); 0: no answer waits",
        ),
    ] = 0.0
    feedback_cost_usd: Annotated[
        float | None,
        Field(
            gt=0,
            allow_inf_nan=False,
            description="highest cost of an answer that feedback may name, in USD; default: twice the cost of its tokens at the configured price",
        ),
    ] = None
    cors_origins: Annotated[
        list[Annotated[str, Field(pattern=r"^(\*|https?://[^/*\s]+)$")]],
        Field(description='web sites whose pages may call, such as "https://chat.example.org", or "*"; default: none'),
    ] = []
    allowed_hosts: Annotated[
        list[str],
        Field(description="names of this gateway that browsers may use without keys; its addresses are always allowed"),
    ] = []
    playground: Annotated[bool, Field(description="serve the playground page")] = True
    extproc_port: Annotated[
        int | None,
        Field(
            ge=0,
            le=65535,
            description="port of Envoy's external processor, 0 for a free one; read at the start; default: none",
        ),
    ] = None
    drain_seconds: Annotated[float, Field(ge=0, description="how long running answers may go on after SIGTERM")] = 30.0

    example: ClassVar[str] = "{max_body_bytes: 1048576, playground: false, drain_seconds: 120}"
