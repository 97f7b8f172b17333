"""Each hostile behaviour alone, and what well-behaved clients beside it see: `python -m tests.attack.table [BEHAVIOUR…]`.

Prints one row a behaviour: requests of the good model and their p99 and slowest, failures, what was lost, how long
the gateway had a core and how long it waited for one (that is other programs' work, and makes p99 theirs), and how much its
memory has grown at the end of the attack and after it.
"""
# ruff: noqa: T201

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.attack.arena import MEGABYTE, arena, attack, quantile
from tests.attack.clients import CLIENTS
from tests.attack.upstreams import UPSTREAMS

SECONDS = 8.0
WITHIN = 20.0
PATIENCE = 4.0  # with a silent model, so that more is seen of what follows


async def row(name: str) -> bool:
    """One behaviour's row; whether it holds: no failure, nothing lost, p99 ≤ 1 s, at most 100 MB more."""
    with tempfile.TemporaryDirectory() as folder:
        async with arena(Path(folder), 1, name, PATIENCE) as made:
            before, (ran, waited) = made.memory, made.core
            attack(made)
            await made.serve_well_behaved(SECONDS)
            peak = made.memory - before
            ran, waited = made.core[0] - ran, made.core[1] - waited
            await made.calm()
            grown = await made.memory_after(before + 100 * MEGABYTE, WITHIN) - before
            seen, lost = made.seen, await made.lost()
    slow, slowest = quantile(seen.named, 0.99), max(seen.named, default=0.0)
    print(
        f"{name:30} {len(seen.named):8} {slow:7.2f} {slowest:8.2f} {len(seen.failures):8} {len(lost):5}"
        f" {ran:6.1f} {waited:6.1f} {peak / MEGABYTE:8.0f} {grown / MEGABYTE:8.0f}",
        flush=True,
    )
    for failure in seen.failures[:2]:
        print(f"    {failure[:300]}")
    return not seen.failures and not lost and slow <= 1 and grown <= 100 * MEGABYTE


async def main(names: list[str]) -> int:
    print(
        f"{'behaviour':30} {'answers':>8} {'p99 s':>7} {'slowest':>8} {'failures':>8} {'lost':>5} {'ran s':>6} {'waits':>6} {'MB then':>8} {'MB after':>8}"
    )
    held = [await row(name) for name in names or [*UPSTREAMS, *CLIENTS]]
    print(f"{sum(held)} of {len(held)} hold")
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
