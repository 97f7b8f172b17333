"""The project's targets for two cores, each with what a run measured."""

from __future__ import annotations

from collections.abc import Iterator

from router_backend.bench.measure import Latency, Measured
from router_backend.bench.run import Results

Verdict = tuple[str, str, str, bool]  # what, target, measured, met
_RIVAL = "litellm"


def verdicts(results: Results) -> Iterator[Verdict]:
    """One row a target whose parts were measured."""
    yield from _triton(results)
    direct, named = results.target("direct"), results.target("llm-router, named model")
    if direct and named:
        yield from _gateway(results, direct, named)
    if results.soak is not None:
        worst = max(results.soak.after, key=results.soak.growth)
        growth = 100 * results.soak.growth(worst)
        yield "memory growth, worst process", "≤ 5 %", f"{growth:.1f} % ({worst})", growth <= 5
    if "second" in results.starts:
        second = results.starts["second"]
        yield "second start", "≤ 10 s", f"{second:.1f} s", second <= 10


def _triton(results: Results) -> Iterator[Verdict]:
    one = {name: row[1] for name, row in results.triton.items() if isinstance(row.get(1), Latency)}
    p95 = {name: row.p95 for name, row in one.items() if isinstance(row, Latency)}
    if "route, unseen" in p95:
        limit = min(8.0, p95["classifier"] + 1.5)
        found = p95["route, unseen"]
        yield (
            "`route`, unseen, p95",
            f"≤ classifier + 1.5 ms and ≤ 8 ms: {limit:.2f} ms",
            f"{found:.2f} ms",
            found <= limit,
        )
        yield "`router` alone, p95", "≤ 0.6 ms", f"{p95['router']:.2f} ms", p95["router"] <= 0.6
        found = p95["route, repeated"]
        yield "`route`, repeated, p95", "≤ 2 ms", f"{found:.2f} ms", found <= 2
    chunks = results.triton.get("llm_router, chunks a second", {}).get(16)
    if isinstance(chunks, float):
        yield "`llm_router`", "≥ 8,000 chunks/s", f"{chunks:,.0f} chunks/s", chunks >= 8000


def _gateway(results: Results, direct: Measured, named: Measured) -> Iterator[Verdict]:
    p50 = named.closed[1].p50 - direct.closed[1].p50
    p95 = named.closed[1].p95 - direct.closed[1].p95
    yield "named model, added p50", "≤ 1.2 ms", f"{p50:.2f} ms", p50 <= 1.2
    yield "named model, added p95", "≤ 2 ms", f"{p95:.2f} ms", p95 <= 2
    rate = named.chunks_per_second
    yield "streams through the gateway", "≥ 20,000 chunks/s", f"{rate:,.0f} chunks/s", rate >= 20_000
    if named.first_chunk and direct.first_chunk:
        first = named.first_chunk.p50 - direct.first_chunk.p50
        yield "added TTFT, p50", f"≤ added latency + 1 ms: {p50 + 1:.2f} ms", f"{first:.2f} ms", first <= p50 + 1
    auto, rival = results.target("llm-router, auto"), results.target(_RIVAL)
    if auto and rival:
        ours, theirs = (target.closed[1].p50 - direct.closed[1].p50 for target in (auto, rival))
        yield (
            "auto, unseen, added p50",
            f"≤ 0.6 × LiteLLM's: {0.6 * theirs:.2f} ms",
            f"{ours:.2f} ms",
            ours <= 0.6 * theirs,
        )
        ours, theirs = auto.closed[16].rate, rival.closed[16].rate
        yield (
            "auto, unseen, throughput at 16 clients",
            f"≥ 3 × LiteLLM's: {3 * theirs:,.0f}/s",
            f"{ours:,.0f}/s",
            ours >= 3 * theirs,
        )
