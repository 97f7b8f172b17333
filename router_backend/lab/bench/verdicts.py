"""The project's targets for two cores, each with what a run measured."""

from __future__ import annotations

from collections.abc import Iterator

from router_backend.lab.bench.measure import Measured
from router_backend.lab.bench.results import Results
from router_backend.lab.bench.triton_models import STREAMS, chunks_per_second

Verdict = tuple[str, str, str, bool]  # what, target, measured, met
_RIVAL = "litellm"
_FEEDBACK = {"SQLite": 2000, "Redis": 5000}  # a second


def verdicts(results: Results) -> Iterator[Verdict]:
    """One row a target whose parts were measured."""
    yield from _triton(results)
    direct, named = results.target("direct"), results.target("llm-router, named model")
    if direct and named:
        yield from _gateway(results, direct, named)
    if results.soak is not None:
        worst = max(results.soak.after, key=results.soak.growth)
        growth = 100 * results.soak.growth(worst)
        yield "memory growth, worst process, cache full", "≤ 5 %", f"{growth:.1f} % ({worst})", growth <= 5
    yield from _bodies(results)
    yield from _parts(results)
    if "second" in results.starts:
        second = results.starts["second"]
        yield "second start", "≤ 10 s", f"{second:.1f} s", second <= 10


def _triton(results: Results) -> Iterator[Verdict]:
    """By perf_analyzer, where it ran, else by tritonclient, whose own time is in its figures."""
    tool = "perf_analyzer" if results.perf_analyzer else "tritonclient"
    p95 = {name: row[1].p95 for name, row in (results.perf_analyzer or results.triton).items()}
    if p95 and results.encoder:
        limit = min(8.0, results.encoder[64].p95 + 1.5)
        found = p95["route, unseen"]
        yield (
            "`route`, unseen, p95",
            f"≤ the forward pass alone + 1.5 ms and ≤ 8 ms: {limit:.2f} ms",
            f"{found:.2f} ms ({tool})",
            found <= limit,
        )
        yield "`router` alone, p95", "≤ 0.6 ms", f"{p95['router']:.2f} ms ({tool})", p95["router"] <= 0.6
        found = p95["route, repeated"]
        yield "`route`, repeated, p95", "≤ 2 ms", f"{found:.2f} ms ({tool})", found <= 2
    if STREAMS in results.triton:
        chunks = chunks_per_second(results.triton[STREAMS][16])
        yield "`llm_router`, 16 clients", "≥ 8,000 chunks/s", f"{chunks:,.0f} chunks/s (tritonclient)", chunks >= 8000


def _parts(results: Results) -> Iterator[Verdict]:
    for name, target in _FEEDBACK.items():
        if name in results.stores:
            rate = results.stores[name].threads
            yield (
                f"{name}, feedback of four writers (single calls that share commits)",
                f"≥ {target:,}/s",
                f"{rate:,.0f}/s",
                rate >= target,
            )
    linucb = next((c for c in results.bandits if (c.policy, c.arms, c.components) == ("linucb", 3, 128)), None)
    if linucb is not None:
        for what, found, limit in (("choice", linucb.choose, 10), ("update", linucb.update, 25)):
            yield (
                f"LinUCB, 3 arms, 128 components, one {what}, p50",
                f"≤ {limit} µs",
                f"{found:.1f} µs",
                found <= limit,
            )


def _bodies(results: Results) -> Iterator[Verdict]:
    bodies = [found for found in results.bodies if found.answers]
    if bodies:
        slowest = max(bodies, key=lambda found: found.longest)
        wait = 1e3 * slowest.longest
        yield (
            "longest wait of a small request beside 8 MB bodies",
            "≤ 100 ms",
            f"{wait:.0f} ms ({slowest.kind})",
            wait <= 100,
        )
        largest = max(bodies, key=lambda found: found.grown)
        grown = largest.grown / 1e6
        yield "memory growth by 8 MB bodies", "≤ 100 MB", f"{grown:.0f} MB ({largest.kind})", grown <= 100


def _gateway(results: Results, direct: Measured, named: Measured) -> Iterator[Verdict]:
    p50 = named.closed[1].p50 - direct.closed[1].p50
    p95 = named.closed[1].p95 - direct.closed[1].p95
    yield "named model, added p50", "≤ 0.5 ms", f"{p50:.2f} ms", p50 <= 0.5
    yield "named model, added p95", "≤ 2 ms", f"{p95:.2f} ms", p95 <= 2
    rate = named.saturation
    yield "named model, throughput", "≥ 3,500/s", f"{rate:,.0f}/s", rate >= 3500
    rate = named.chunks_per_second
    yield "streams through the gateway", "≥ 20,000 chunks/s", f"{rate:,.0f} chunks/s", rate >= 20_000
    if named.first_chunk and direct.first_chunk:
        first = named.first_chunk.p50 - direct.first_chunk.p50
        yield "added TTFT, p50", f"≤ added latency + 1 ms: {p50 + 1:.2f} ms", f"{first:.2f} ms", first <= p50 + 1
    auto, repeated = results.target("llm-router, auto"), results.target("llm-router, auto, repeated")
    if repeated:
        p50 = repeated.closed[1].p50 - direct.closed[1].p50
        yield "auto, repeated, added p50", "≤ 2.5 ms", f"{p50:.2f} ms", p50 <= 2.5
        each = repeated.cpu_ms
        yield "auto, repeated, processor time per request, 16 clients", "≤ 1.6 ms", f"{each:.2f} ms", each <= 1.6
    if auto:
        spread = auto.open[80].p99 / auto.open[80].p50
        yield "auto, unseen, open loop at 80 %, p99 / p50", "≤ 2.5", f"{spread:.2f}", spread <= 2.5
    rival = results.target(_RIVAL)
    if auto and rival:
        yield from _beside(auto, rival, direct)


def _beside(auto: Measured, rival: Measured, direct: Measured) -> Iterator[Verdict]:
    base = direct.closed[1]
    for quantile, goal, ours, theirs in (
        ("p50", 0.4, auto.closed[1].p50 - base.p50, rival.closed[1].p50 - base.p50),
        ("p95", 0.5, auto.closed[1].p95 - base.p95, rival.closed[1].p95 - base.p95),
    ):
        found = f"{ours / theirs:.2f}: {ours:.2f} ms to {theirs:.2f} ms"
        yield f"auto, unseen, added {quantile} / LiteLLM's", f"≤ {goal:.2f}", found, ours <= goal * theirs
    one, other = auto.closed[16].rate, rival.closed[16].rate
    found = f"{one / other:.1f}: {one:,.0f}/s to {other:,.0f}/s"
    yield "auto, unseen, throughput at 16 clients / LiteLLM's", "≥ 6", found, one >= 6 * other
