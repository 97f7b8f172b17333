"""A process that attacks a gateway from both sides: `python -m tests.attack.hostile SEED [BEHAVIOUR]`.

It prints the port of its upstream, reads the gateway's port from its input, and goes on until that ends. With the name
of a behaviour it does nothing else; an upstream's behaviour is met by clients that ask its model.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys

from tests.attack.clients import CLIENTS, asks_the_bad_model
from tests.attack.upstreams import UPSTREAMS

CLIENTS_AT_ONCE = 6


async def upstream(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rng: random.Random, names: list[str]
) -> None:
    """One request, one behaviour."""
    with contextlib.suppress(
        Exception, asyncio.CancelledError
    ):  # the gateway closes the connection, or the attack ends
        head = await reader.readuntil(b"\r\n\r\n")
        length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
        await reader.readexactly(int(length.split(b":")[1]))
        await UPSTREAMS[rng.choice(names)](rng, writer)
        await writer.drain()
    writer.close()


async def attacker(rng: random.Random, port: int, names: list[str]) -> None:
    """One client after the other."""
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await CLIENTS[rng.choice(names)](rng, port)
        await asyncio.sleep(rng.uniform(0, 0.1))


async def main(seed: str, only: str = "") -> None:
    def drawn(place: object) -> random.Random:
        return random.Random(f"{seed} {place}")  # of its own for each place: the order of events changes no behaviour

    served = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        await upstream(reader, writer, drawn(f"upstream {served}"), [only] if only in UPSTREAMS else list(UPSTREAMS))

    async with await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024) as server:
        print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201
        loop = asyncio.get_running_loop()
        port = int(await loop.run_in_executor(None, sys.stdin.readline))
        names = [asks_the_bad_model.__name__] if only in UPSTREAMS else [only] if only else list(CLIENTS)
        tasks = [asyncio.create_task(attacker(drawn(at), port, names)) for at in range(CLIENTS_AT_ONCE)]
        await loop.run_in_executor(None, sys.stdin.read)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        server.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
