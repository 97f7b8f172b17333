"""Hostile upstreams and clients, drawn at random, under load, with well-behaved clients beside them.

LLM_TEST_ATTACK_SEED repeats a run's draw; LLM_TEST_ATTACK_SECONDS makes it longer.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.attack.arena import MEGABYTE, arena, attack, quantile

GROWTH = 100 * MEGABYTE
SERIES = 2000
"""Far above what two models have; far below one for each name that the attackers invent."""


@pytest.mark.slow
async def test_nothing_breaks_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed = int(os.environ.get("LLM_TEST_ATTACK_SEED") or random.randrange(10**6))
    seconds = float(os.environ.get("LLM_TEST_ATTACK_SECONDS") or 120)
    with capsys.disabled():
        print(f"\nattacker: LLM_TEST_ATTACK_SEED={seed}", flush=True)  # noqa: T201
    async with arena(tmp_path, seed) as made:
        before = made.memory
        attack(made)
        await made.serve_well_behaved(seconds)
        peak = made.memory
        await made.calm()
        after, lost, series = await made.memory_after(before + GROWTH), await made.lost(), await made.series()
        seen = made.seen
        with capsys.disabled():
            print(  # noqa: T201
                f"attacker: {len(seen.named)} named answers, p99 {quantile(seen.named, 0.99):.2f} s;"
                f" {len(seen.routed)} routed, p99 {quantile(seen.routed, 0.99):.2f} s; memory {before // MEGABYTE},"
                f" {peak // MEGABYTE} at the end of the attack, {after // MEGABYTE} MB after it; {series} series"
            )
    log = (tmp_path / "gateway.log").read_text(errors="replace")
    assert not seen.failures, (seed, len(seen.failures), seen.failures[:5])
    assert seen.named
    assert seen.routed
    assert not lost, (seed, len(lost))
    assert after <= before + GROWTH, seed
    assert series <= SERIES, seed
    assert "Traceback" not in log, (seed, log[log.index("Traceback") - 500 :][:4000])
