"""Measures the ways in turn, many times within one run, so that their ratios hold on a busy machine."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from router_backend.gateway.kserve.over_grpc import GrpcWire
from router_backend.gateway.kserve.over_http import HttpWire
from router_backend.lab.bench.hop.servers import Server, start, stop
from router_backend.lab.bench.hop.ways import ByLibrary, BySharedMemory, ByStream, ByWire, Way
from router_backend.lab.tables import table

CLIENTS = (1, 8)
_DEADLINE = 0.05  # seconds; `routing.deadline_ms`, by default
_PATIENCE = 5.0
_TURN = 60  # questions at once, before the next way's turn


@dataclass(slots=True)
class Cost:
    """Of one way with so many clients."""

    seconds: list[float] = field(default_factory=list)
    client: float = 0.0  # seconds of processor time
    server: float = 0.0


@dataclass(slots=True)
class Measured:
    """One way."""

    name: str
    server: Server
    make: Callable[[], Way]
    by_clients: dict[int, Cost] = field(default_factory=lambda: {clients: Cost() for clients in CLIENTS})
    frozen: float = 0.0  # seconds to the error of a question with a deadline, while the server is stopped
    killed: float = 0.0  # seconds from kill -9 of the server to the error of the question under way


def _ways(tcp: Server, unix: Server) -> list[Measured]:
    return [
        Measured("gRPC, ModelInfer", tcp, lambda: ByWire(GrpcWire(tcp.grpc))),
        Measured("gRPC, one ModelStreamInfer", tcp, lambda: ByStream(tcp)),
        Measured("gRPC and shared memory (tritonclient)", tcp, lambda: BySharedMemory(tcp)),
        Measured("HTTP over TCP, aiohttp", tcp, lambda: ByLibrary(tcp.http)),
        Measured("HTTP over TCP, our client", tcp, lambda: ByWire(HttpWire(tcp.http, max(CLIENTS)))),
        Measured("gRPC, ModelInfer (the second server)", unix, lambda: ByWire(GrpcWire(unix.grpc))),
        Measured("HTTP over a Unix socket, our client", unix, lambda: ByWire(HttpWire(unix.http, max(CLIENTS)))),
    ]


async def run(folder: Path, rounds: int, say: Callable[[str], None]) -> list[Measured]:
    """Start two servers, measure, then stop and kill them under their clients."""
    say("two Tritons")
    servers: list[Server] = []
    try:
        for name in ("tcp", "unix"):
            servers.append(await start(folder, name, socket=name == "unix"))
        found = _ways(*servers)
        ways = [one.make() for one in found]
        for way in ways:
            await _turn(way, max(CLIENTS), Cost())
        gc.collect()
        gc.freeze()
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            for one, way in zip(found, ways, strict=True):
                for clients, cost in one.by_clients.items():
                    cpu, own = one.server.cpu(), time.process_time()
                    await _turn(way, clients, cost)
                    cost.client += time.process_time() - own
                    cost.server += one.server.cpu() - cpu
        say("a server that is frozen, and one that is killed")
        await _freeze(servers, found, ways)
        await _kill(servers, found, ways)
        for way in ways:
            await way.close()
    finally:
        for server in servers:
            stop(server)
    return found


async def _turn(way: Way, clients: int, cost: Cost) -> None:
    async def one(questions: int) -> None:
        for _ in range(questions):
            began = time.perf_counter()
            await way.ask(_PATIENCE)
            cost.seconds.append(time.perf_counter() - began)

    await asyncio.gather(*(one(_TURN // clients) for _ in range(clients)))


async def _freeze(servers: list[Server], found: list[Measured], ways: list[Way]) -> None:
    for server in servers:
        server.freeze()
    try:
        for one, way in zip(found, ways, strict=True):
            began = time.perf_counter()
            await _error(way, _DEADLINE)
            one.frozen = time.perf_counter() - began
    finally:
        for server in servers:
            server.send(signal.SIGCONT)
    for one, way in zip(found, ways, strict=True):
        await _recovered(one.name, way)


async def _kill(servers: list[Server], found: list[Measured], ways: list[Way]) -> None:
    for server in servers:
        server.freeze()  # questions are under way when it dies
    asked = [asyncio.create_task(_error(way, _PATIENCE)) for way in ways]
    await asyncio.sleep(0.2)
    killed = time.perf_counter()
    for server in servers:
        server.send(signal.SIGKILL)

    async def ended(one: Measured, task: asyncio.Task[None]) -> None:
        await task
        one.killed = time.perf_counter() - killed

    await asyncio.gather(*map(ended, found, asked))


async def _error(way: Way, seconds: float) -> None:
    try:
        await way.ask(seconds)
    except Exception:
        return
    raise RuntimeError("a server that is stopped has answered")


async def _recovered(name: str, way: Way) -> None:
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            return await way.ask(1.0)
        except Exception as error:
            if time.monotonic() > until:
                raise RuntimeError(f"{name}: no decision after the server went on ({error!r})") from error


def markdown(found: list[Measured]) -> Iterator[str]:
    """The table."""
    header = ["", *(f"{name}, {_clients(n)}" for n in CLIENTS for name in ("p50 / p95", "client", "server"))]
    yield from table([*header, "frozen", "killed"], map(_row, found))


def _row(one: Measured) -> list[str]:
    cells = [one.name]
    for cost in one.by_clients.values():
        p50, p95 = np.percentile(cost.seconds, (50, 95)) * 1e3
        used = (1e3 * cpu / len(cost.seconds) for cpu in (cost.client, cost.server))
        cells += [f"{p50:.2f} / {p95:.2f}", *(f"{ms:.2f}" for ms in used)]
    return [*cells, f"{1e3 * one.frozen:.0f}", f"{1e3 * one.killed:.1f}"]


def _clients(count: int) -> str:
    return f"{count} clients" if count > 1 else "1 client"
