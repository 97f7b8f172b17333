"""Results as Markdown. Added latency is a quantile of the target's minus the same quantile of direct, at as many clients."""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan

from router_backend.lab.bench import aiperf, bodies, cores, feedback, stores
from router_backend.lab.bench.bandit_costs import BanditCost
from router_backend.lab.bench.measure import CLIENTS, Latency, Measured
from router_backend.lab.bench.results import Results
from router_backend.lab.bench.triton_models import STREAMS, chunks_per_second
from router_backend.lab.bench.verdicts import verdicts
from router_backend.lab.tables import table


def markdown(results: Results, plot: str) -> str:
    """The whole report."""
    return "\n".join(_lines(results, plot)) + "\n"


def _lines(results: Results, plot: str) -> Iterator[str]:
    yield f"Measured {results.started} by `{results.command}`, {results.seconds / 60:.0f} minutes."
    yield ""
    yield "; ".join(f"{name} {value}" for name, value in results.machine.items()) + "."
    yield "; ".join(f"{name} {value}" for name, value in results.versions.items()) + "."
    yield ""
    yield f"![Latency beside peers]({plot})"
    yield ""
    yield "### Added latency, closed loop (ms: p50 / p95 / p99)"
    yield ""
    yield from table(["", *(f"{n} clients" if n > 1 else "1 client" for n in CLIENTS)], _added(results))
    yield ""
    yield "### Throughput, open loop, streams, cost"
    yield ""
    header = ["", "requests/s at saturation", "open loop at 50 %: p50 / p95 / p99 ms", "at 80 %", "added TTFT p50 ms"]
    yield from table([*header, "chunks/s", "CPU ms per request", "RSS MB"], _throughput(results))
    yield ""
    yield from (f"- {name}: {reason}" for name, reason in results.absent.items())
    if results.absent:
        yield ""
    yield "### Prompt lengths, one client (ms, whole: p50 / p95)"
    yield ""
    names = [f"{tokens} tokens" for tokens in next(iter(results.lengths.values()), {})]
    yield from table(["", *names], ([n, *map(_pair, row.values())] for n, row in results.lengths.items()))
    yield ""
    yield "### Triton alone, gRPC (ms: p50 / p95 / p99)"
    yield ""
    yield from table(["", "client", "1 client", "16 clients", "requests/s at 16"], _triton(results))
    yield ""
    yield from _aiperf(results)
    if results.bodies:
        yield "### Small requests while four bodies of 8 MB are read"
        yield ""
        yield from bodies.markdown(results.bodies)
        yield ""
    if results.cores:
        yield "### Capacity by cores"
        yield ""
        yield from cores.markdown(results.cores)
        yield ""
    yield from _memory(results)
    yield from _stores(results)
    yield from _bandits(results)
    yield "### Targets"
    yield ""
    rows = ([text, goal, found, "met" if met else "**missed**"] for text, goal, found, met in verdicts(results))
    yield from table(["", "target", "measured", ""], rows)


def _added(results: Results) -> Iterator[list[str]]:
    direct = results.target("direct")
    assert direct is not None
    yield ["direct (whole)", *(_triple(direct.closed[clients]) for clients in CLIENTS)]
    for target in results.targets[1:]:
        yield [
            _title(target),
            *(_triple(target.closed[clients], direct.closed[clients]) for clients in CLIENTS),
        ]


def _throughput(results: Results) -> Iterator[list[str]]:
    direct = results.target("direct")
    assert direct is not None
    assert direct.first_chunk is not None
    for target in results.targets:
        assert target.first_chunk is not None
        added = target.first_chunk.p50 - (direct.first_chunk.p50 if target is not direct else 0.0)
        yield [
            _title(target),
            f"{target.saturation:,.0f}",
            _triple(target.open[50]),
            _triple(target.open[80]),
            "streams fail" if isnan(added) else f"{added:.2f}",
            f"{target.chunks_per_second:,.0f}",
            f"{target.cpu_ms:.2f}" if target.cpu_ms else "–",
            f"{target.rss_mb:,.0f}" if target.rss_mb else "–",
        ]


def _triton(results: Results) -> Iterator[list[str]]:
    for tokens, alone in results.encoder.items():
        yield [f"the classifier's forward pass, {tokens} tokens", "onnxruntime in a loop", _triple(alone), "", ""]
    for name, row in results.triton.items():
        for tool, found in (("tritonclient", row), ("perf_analyzer", results.perf_analyzer.get(name))):
            if found:
                one, many = found[1], found[16]
                chunks = f" ({chunks_per_second(many):,.0f} chunks)" if name == STREAMS else ""
                notes = [phase.failure for phase in (one, many) if phase.failure]
                yield [
                    name,
                    tool + (f" ({'; '.join(notes)})" if notes else ""),
                    _triple(one),
                    _triple(many),
                    f"{many.rate:,.0f}{chunks}",
                ]


def _aiperf(results: Results) -> Iterator[str]:
    found = results.aiperf
    if found is None:
        return
    yield f"### The gateway by aiperf: `auto`, streamed, {found.requests:,} unseen prompts, {aiperf.CLIENTS} clients"
    yield ""
    yield from table(
        ["", "p50", "p95", "p99"],
        ([f"{name}, ms", *(f"{value:.3f}" for value in values)] for name, values in found.latencies.items()),
    )
    yield ""
    yield ", ".join(f"{value:,.0f} {name}" for name, value in found.rates.items()) + "."
    yield ""


def _memory(results: Results) -> Iterator[str]:
    if results.soak is not None:
        soak = results.soak
        yield f"### Memory over {soak.requests:,} requests of unseen prompts ({soak.rate:,.0f}/s, {soak.failures} failed)"
        yield ""
        yield (
            f"This is the steady state: the classifier's cache was first filled to its limit, with {soak.filled.entries:,} other prompts"
            f" ({soak.filled.seconds:.0f} s)."
        )
        yield ""
        rows = (
            [part, f"{soak.before.get(part, 0):,.1f}", f"{after:,.1f}", f"{100 * soak.growth(part):+.1f} %"]
            for part, after in soak.after.items()
        )
        yield from table(["process", "MB before", "MB after", "growth"], rows)
        yield ""
    if results.crowd:
        yield "Many streams at once: " + ", ".join(f"{n} {v:,.0f}" for n, v in results.crowd.items()) + "."
        yield ""
    if results.starts:
        yield "Time to start: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in results.starts.items()) + "."
        yield ""


def _stores(results: Results) -> Iterator[str]:
    if not results.stores:
        return
    yield f"### Feedback per second, acknowledged when durable ({stores.WRITERS} writers, single calls unless stated otherwise)"
    yield ""
    through = [f"{clients} clients of Triton's `feedback`: /s, p50 / p95 / p99 ms" for clients in feedback.CLIENTS]
    header = [
        "",
        "threads",
        "processes",
        f"processes, {stores.CALLERS} callers each",
        "processes, 32 per call",
        *through,
    ]
    yield from table([*header, "decisions logged per second", "rebuild"], _store_rows(results))
    yield ""


def _store_rows(results: Results) -> Iterator[list[str]]:
    for name, rates in results.stores.items():
        through = results.feedback.get(name, {})
        yield [
            name,
            *(f"{rate:,.0f}" for rate in (rates.threads, rates.processes, rates.callers, rates.batches)),
            *(f"{one.rate:,.0f}: {_triple(one)}" for one in (through[clients] for clients in feedback.CLIENTS)),
            f"{rates.decisions:,.0f} ({rates.hot_path_us:.1f} µs each for the deciding thread)",
            f"{rates.rebuild_events:,} events in {rates.rebuild_seconds:.1f} s",
        ]


def _bandits(results: Results) -> Iterator[str]:
    if not results.bandits:
        return
    yield "### Bandits (µs, p50, one thread)"
    yield ""
    header = ["policy", "arms", "components", "scores", "choose", "update", "update and publication"]
    yield from table(header, (_bandit_row(cost) for cost in results.bandits))
    yield ""


def _bandit_row(cost: BanditCost) -> list[str]:
    times = (cost.scores, cost.choose, cost.update, cost.publication)
    return [f"`{cost.policy}`", str(cost.arms), str(cost.components), *(f"{time:,.1f}" for time in times)]


def _title(target: Measured) -> str:
    failures = sum(phase.failures for phase in (*target.closed.values(), *target.open.values()))
    degraded = sum(phase.degraded for phase in (*target.closed.values(), *target.open.values()))
    marks = [f"{failures} failed"] * bool(failures) + [f"{degraded} by the default model"] * bool(degraded)
    version = f" {target.version}" if target.version and not target.name.startswith("llm-router") else ""
    return f"{target.name}{version}" + (f" ({', '.join(marks)})" if marks else "")


def _triple(one: Latency, minus: Latency | None = None) -> str:
    values = [(one.p50, one.p95, one.p99)[i] - ((minus.p50, minus.p95, minus.p99)[i] if minus else 0) for i in range(3)]
    return " / ".join("–" if isnan(value) else f"{value:.2f}" for value in values)


def _pair(one: Latency) -> str:
    return f"{one.p50:.2f} / {one.p95:.2f}"
