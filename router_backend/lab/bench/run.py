"""One run: the system, its parts, then each peer that is installed, one after the other, in front of one upstream."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from router_backend import distribution
from router_backend.lab.bench import aiperf, perf_analyzer
from router_backend.lab.bench.aiperf import measure_aiperf
from router_backend.lab.bench.bandit_costs import measure_bandits
from router_backend.lab.bench.bodies import measure_bodies
from router_backend.lab.bench.cores import measure_cores
from router_backend.lab.bench.encoder import measure_encoder
from router_backend.lab.bench.feedback import measure_feedback, share_seal
from router_backend.lab.bench.measure import Plan, by_length, measure
from router_backend.lab.bench.memory import crowd, soak
from router_backend.lab.bench.packages import Package, ToolFailed
from router_backend.lab.bench.peers import PEERS
from router_backend.lab.bench.perf_analyzer import measure_perf_analyzer
from router_backend.lab.bench.processes import NotReady, Running
from router_backend.lab.bench.results import Results, begin
from router_backend.lab.bench.stores import measure_store, redis_version, start_redis
from router_backend.lab.bench.targets import Ours, direct, start_ours, start_upstream
from router_backend.lab.bench.triton_models import measure_triton

_NOT_INSTALLED = "not installed: llm-router bench --install-peers"
TOOLS = (perf_analyzer.TOOL, aiperf.TOOL)
PACKAGES: tuple[Package, ...] = (*PEERS, *TOOLS)

Say = Callable[[str], None]


async def run(plan: Plan, scratch: Path, peers: Sequence[str] | None, say: Say) -> Results:
    """Measure everything. `peers` names those to start; None: all that are installed."""
    share_seal()
    results = begin(plan)
    clock = time.perf_counter()
    upstream, port = await start_upstream(scratch)
    try:
        say("direct")
        results.targets.append(await measure(direct(port), plan))
        await _ours(results, plan, scratch, port, say)
        results.cores = await measure_cores(scratch, port, plan.cores, say)
        await _stores(results, plan, scratch, port, say)
        await _peers(results, plan, scratch, port, peers, say)
    finally:
        upstream.stop()
    results.seconds = time.perf_counter() - clock
    return results


async def _ours(results: Results, plan: Plan, scratch: Path, port: int, say: Say) -> None:
    say("the classifier's forward pass alone")
    results.encoder = measure_encoder(plan.encoder)
    say("llm-router: two starts")
    ours = await start_ours(scratch, port)
    results.starts = {"first": ours.first_start, "second": ours.second_start}
    try:
        targets = ours.targets()
        for target in targets:
            say(target.name)
            results.targets.append(await measure(target, plan, results.versions[distribution.NAME]))
        say("llm-router: prompts of three lengths")
        results.lengths = await by_length(targets[1:], plan)
        say("Triton alone")
        results.triton = await measure_triton(ours.grpc, plan)
        await _tools(results, plan, scratch, ours, say)
        say("feedback through Triton, SQLite")
        results.feedback["SQLite"] = await measure_feedback(ours.grpc, plan.feedback)
        results.bodies = await measure_bodies(ours, plan.bodies, say)
        say("llm-router: a thousand streams at once")
        results.crowd = await crowd(targets[0], plan.crowd_rounds)
        say(f"llm-router: memory over {plan.soak_requests} requests, once the classifier's cache is full")
        results.soak = await soak(targets[1], ours.grpc, plan.soak_requests)
    finally:
        ours.running.stop()


async def _tools(results: Results, plan: Plan, scratch: Path, ours: Ours, say: Say) -> None:
    """NVIDIA's own load generators, where they are installed. One that fails is named in the report."""
    for tool in TOOLS:
        if not tool.installed:
            results.absent[tool.name] = _NOT_INSTALLED
            continue
        say(tool.name)
        results.versions[tool.name] = f"{tool.version()} ({tool.package.partition('==')[0]})"
        try:
            if tool is perf_analyzer.TOOL:
                results.perf_analyzer = await measure_perf_analyzer(ours.grpc, results.triton, plan, scratch)
            else:
                results.aiperf = await measure_aiperf(ours.port, plan.aiperf_requests, scratch)
        except ToolFailed as error:
            results.absent[tool.name] = str(error)


async def _stores(results: Results, plan: Plan, scratch: Path, port: int, say: Say) -> None:
    say("SQLite")
    results.stores["SQLite"] = measure_store("sqlite:///bench.db", scratch, plan.feedback, plan.log_events)
    version = redis_version()
    if version:
        say("Redis")
        results.versions["redis-server"] = version
        running, url = start_redis(scratch / "redis")
        try:
            ours = await start_ours(scratch, port, twice=False, store=f"{url}?prefix={{router}}")
            try:
                results.feedback["Redis"] = await measure_feedback(ours.grpc, plan.feedback)
            finally:
                ours.running.stop()
            results.stores["Redis"] = measure_store(f"{url}?prefix={{bench}}", scratch, plan.feedback, plan.log_events)
        finally:
            running.stop()
    else:
        results.absent["Redis"] = "redis-server is not installed"
    say("bandits")
    results.bandits = measure_bandits(plan.bandits)


async def _peers(results: Results, plan: Plan, scratch: Path, port: int, peers: Sequence[str] | None, say: Say) -> None:
    for peer in PEERS:
        if peers is not None and peer.name not in peers:
            results.absent[peer.name] = "not asked for"
        elif not peer.installed:
            results.absent[peer.name] = _NOT_INSTALLED
        else:
            say(peer.name)
            try:
                target = await peer.start(scratch, port)
            except (NotReady, OSError) as error:
                results.absent[peer.name] = str(error)
                continue
            try:
                results.targets.append(await measure(target, plan, peer.version()))
            finally:
                _stop(target.running)


def _stop(running: Running | None) -> None:
    if running is not None:
        running.stop()
