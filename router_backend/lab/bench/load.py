"""Closed loops (each client sends again when it has its answer) and open loops (arrivals don't wait for answers)."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from router_backend.lab.bench.client import Answer, BadAnswer, Connection

NextRequest = Callable[[], bytes]


@dataclass(slots=True)
class Load:
    """What one phase measured. Latencies in seconds; an open loop's count from the planned arrival."""

    seconds: float = 0.0
    totals: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)
    frames: int = 0
    degraded: int = 0
    failures: int = 0
    failure: str = ""  # the first one's words

    @property
    def count(self) -> int:
        return len(self.totals)

    def add(self, answer: Answer, waited: float = 0.0) -> None:
        self.totals.append(answer.total + waited)
        self.firsts.append(answer.first + waited)
        self.frames += answer.frames
        self.degraded += answer.degraded

    def fail(self, error: Exception) -> None:
        self.failures += 1
        self.failure = self.failure or str(error)


async def closed_loop(port: int, clients: int, request: NextRequest, seconds: float, count: int | None = None) -> Load:
    """`clients` connections, for `seconds` or, where given, until `count` requests have been sent."""
    load, until, left = Load(), time.perf_counter() + seconds, count

    async def one() -> None:
        nonlocal left
        connection = await Connection.open(port)
        while (left > 0) if left is not None else (time.perf_counter() < until):
            if left is not None:
                left -= 1
            try:
                if not connection.usable:
                    connection = await Connection.open(port)
                load.add(await connection.send(request()))
            except (BadAnswer, OSError) as error:
                load.fail(error)
                await asyncio.sleep(0.05)
        connection.close()

    started = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(clients)))
    load.seconds = time.perf_counter() - started
    return load


async def open_loop(port: int, rate: float, request: NextRequest, seconds: float, seed: int = 1) -> Load:
    """Poisson arrivals at `rate` a second; a late start of ours counts as the server's latency, not as nothing.

    Source: Schroeder, Wierman, Harchol-Balter, "Open versus closed: a cautionary tale", NSDI 2006.
    """
    load, draw, idle = Load(), random.Random(seed), list[Connection]()
    tasks: set[asyncio.Task[None]] = set()

    async def one(planned: float) -> None:
        try:
            connection = idle.pop() if idle else await Connection.open(port)
            waited = time.perf_counter() - planned
            load.add(await connection.send(request()), waited)
            if connection.usable:
                idle.append(connection)
        except (BadAnswer, OSError) as error:
            load.fail(error)

    started = planned = time.perf_counter()
    while (planned := planned + draw.expovariate(rate)) < started + seconds:
        delay = planned - time.perf_counter()
        if delay > 0:
            await asyncio.sleep(delay)
        task = asyncio.create_task(one(planned))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    load.seconds = time.perf_counter() - started
    for connection in idle:
        connection.close()
    return load
