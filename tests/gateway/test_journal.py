"""Outcomes survive their process: whatever cuts or damages the journal, and whenever the gateway is killed."""

from __future__ import annotations

import asyncio
import itertools
import random
import resource
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_backend.core.ids import new_decision_id
from router_backend.core.records import Decision, Outcome
from router_backend.gateway.journal import Journal
from router_backend.gateway.outcome_queue import OutcomeQueue
from router_backend.gateway.triton_client import TritonClient
from router_backend.state.spend import Spend
from tests.gateway.conftest import Serve
from tests.gateway.test_process import GatewayProcess, gateway
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import ScriptedUpstream

__all__ = ["gateway"]  # a fixture


def outcome(decision_id: str = "", **fields: Any) -> Outcome:
    return Outcome(decision_id=decision_id or new_decision_id(), completed=1.0, served="a\n", status=200, **fields)


def decision(decision_id: str) -> Decision:
    return Decision(decision_id=decision_id, created=1.0, kind="named", model="a", reason="named")


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def left_in(folder: Path) -> list[str]:
    """The decisions whose outcomes an ended process has left; they stay there."""
    journal = Journal(folder)
    ids = [outcome.decision_id for _, (_, outcomes) in journal.orphans() for outcome in outcomes]
    journal.close()
    return ids


def written(folder: Path, count: int) -> tuple[list[str], Path]:
    """Outcomes that an ended process has left, and the file that holds them."""
    journal = Journal(folder)
    outcomes = [outcome(key="k", cost=0.1 * at) for at in range(count)]
    for at, one in enumerate(outcomes):
        assert journal.append(decision(one.decision_id) if at % 2 else None, one)
    journal.close()
    (file,) = folder.iterdir()
    return [one.decision_id for one in outcomes], file


@given(count=st.integers(1, 6), data=st.data())
def test_a_file_cut_anywhere_keeps_all_whole_records(count: int, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        ids, file = written(Path(name), count)
        content = file.read_bytes()
        cut = data.draw(st.integers(0, len(content)))
        file.write_bytes(content[:cut])
        # A line whose end alone is missing is whole, too.
        whole = sum(1 for end in _line_ends(content) if end - 1 <= cut)
        assert left_in(Path(name)) == ids[:whole]


@given(data=st.data())
def test_a_damaged_byte_costs_its_own_record_only(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        ids, file = written(Path(name), 5)
        content = bytearray(file.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        was = content[at]
        content[at] = data.draw(st.integers(0, 255).filter(lambda value: value != was))
        file.write_bytes(content)
        left = left_in(Path(name))
        lost = [one for one in ids if one not in left]
        assert left == [one for one in ids if one in left]
        assert len(lost) <= (2 if was == ord("\n") else 1)  # without its end a line runs into the next one


def test_nobody_adopts_what_a_living_process_writes(tmp_path: Path) -> None:
    living = Journal(tmp_path)
    living.append(None, outcome("1"))
    assert left_in(tmp_path) == []
    living.close()
    assert left_in(tmp_path) == ["1"]
    assert left_in(tmp_path) == ["1"]  # until it is reported


def test_segments_go_with_their_last_record(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    long = [outcome(finish_reason="x" * 200_000) for _ in range(12)]
    segments = [journal.append(None, one) for one in long]
    assert len(list(tmp_path.iterdir())) > 1
    for segment in segments:
        assert segment
        segment.reported()
    (active,) = tmp_path.iterdir()
    assert active.stat().st_size == 0
    journal.close()
    assert not list(tmp_path.iterdir())


@given(st.lists(st.integers(1, 4), max_size=12), st.integers(0, 3), st.integers(0, 400))
def test_what_was_reported_is_not_adopted(groups: list[int], waiting: int, padding: int) -> None:
    """Whatever was written and reported before, in groups; padding makes the file long enough to be emptied sometimes."""
    with tempfile.TemporaryDirectory() as name:
        journal = Journal(Path(name))
        for count in groups:
            for segment in [journal.append(None, outcome(finish_reason="x" * 1000 * padding)) for _ in range(count)]:
                assert segment
                segment.reported()
        left = [outcome() for _ in range(waiting)]
        for one in left:
            journal.append(None, one)
        journal.close()
        assert left_in(Path(name)) == [one.decision_id for one in left]


def test_a_process_that_is_killed_leaves_little_of_what_was_reported(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    sizes = []
    for _ in range(2000):
        segment = journal.append(None, outcome())
        assert segment
        segment.reported()
        sizes.append(sum(file.stat().st_size for file in files(tmp_path)))
    assert max(sizes) < 300_000
    assert sum(after < before for before, after in itertools.pairwise(sizes)) <= 3  # it is emptied that often
    journal.close()
    assert not files(tmp_path)


def test_a_mark_that_can_t_be_written_empties_the_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    segment = journal.append(None, outcome("1"))
    assert segment
    (file,) = files(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 3, hard))
    try:
        segment.reported()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file.stat().st_size == 0
    journal.append(None, outcome("2"))
    journal.close()
    assert left_in(tmp_path) == ["2"]


def test_a_full_disk_is_said_and_leaves_no_half_record(tmp_path: Path) -> None:
    failures: list[None] = []
    journal = Journal(tmp_path, lambda: failures.append(None))
    journal.append(None, outcome("1"))
    (file,) = tmp_path.iterdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 10, hard))
    try:
        assert journal.append(None, outcome("2")) is None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(failures) == 1
    assert journal.failure
    assert journal.append(None, outcome("3"))
    assert not journal.failure
    journal.close()
    assert left_in(tmp_path) == ["1", "3"]


class Receiver:
    """In Triton's place: what it took, or an outage."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []

    async def report(self, decisions: Sequence[Decision], outcomes: Sequence[Outcome], seconds: float) -> Spend:
        self.outcomes += [outcome.decision_id for outcome in outcomes]
        return {}


async def test_what_is_reported_or_dropped_leaves_the_journal(tmp_path: Path) -> None:
    lost: list[int] = []
    journal, receiver = Journal(tmp_path), Receiver()
    queue = OutcomeQueue(cast(TritonClient, receiver), 2, lost.append, lambda *_: None, journal)
    for name in "123":
        queue.outcome(outcome(name))
    assert lost == [1]
    queue.start()
    await queue.settled("3", 10)
    await queue.aclose()
    journal.close()
    assert receiver.outcomes == ["2", "3"]
    assert not files(tmp_path)


async def test_an_answer_does_not_wait_for_its_record(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, tmp_path: Path
) -> None:
    release = asyncio.Event()
    triton.hold_reports = release
    gateway = await serve(upstream, triton=triton, journal=tmp_path)
    response = await gateway.chat()
    made = response.headers["x-router-decision-id"]
    assert not triton.outcomes
    (file,) = files(tmp_path)
    assert made.encode() in file.read_bytes()
    scored = asyncio.create_task(gateway.http.post("/v1/feedback", json={"decision_id": made, "score": 1}))
    release.set()
    assert (await scored).status_code == 200  # its outcome was reported before it
    assert made in triton.outcomes


async def test_a_journal_that_can_not_be_written_stops_no_answer(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, tmp_path: Path
) -> None:
    gateway = await serve(upstream, triton=triton, journal=tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        assert (await gateway.chat()).status_code == 200
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (await gateway.http.get("/health/ready")).json()["journal"] == "File too large"
    assert "llm_router_journal_failures_total 1.0" in (await gateway.http.get("/metrics")).text
    assert (await gateway.chat()).status_code == 200
    assert (await gateway.http.get("/health/ready")).json()["journal"] == "written"


@pytest.mark.parametrize("seed", range(3))
async def test_a_gateway_killed_at_any_moment_loses_no_outcome_of_an_answer(
    gateway: GatewayProcess, upstream: ScriptedUpstream, triton: ScriptedTriton, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    triton.report_delay = chance.choice([0.0, 0.02, 0.5])
    gateway.write("a", routing={"deadline_ms": 2000})
    journal = tmp_path / "journal"
    flags = ("--triton-url", triton.url, "--journal", str(journal))
    answered: list[str] = []
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}", timeout=30, trust_env=False) as http:

        async def ask() -> None:
            body = {"model": chance.choice(["a", "auto"]), "messages": [{"role": "user", "content": "hi"}]}
            while True:
                try:
                    response = await http.post("/v1/chat/completions", json=body)
                except httpx.TransportError:
                    return  # killed
                answered.append(response.headers["x-router-decision-id"])

        for _ in range(2):
            process = await gateway.start(*flags)
            await gateway.until_live(http)
            before = len(answered)
            asking = [asyncio.create_task(ask()) for _ in range(4)]
            while len(answered) < before + 5:
                await asyncio.sleep(0.005)
            await asyncio.sleep(chance.random() * 0.2)
            process.kill()
            await process.communicate()
            await asyncio.gather(*asking)
    await gateway.start(*flags)
    async with asyncio.timeout(60):
        while not set(answered) <= triton.outcomes.keys():
            await asyncio.sleep(0.02)
    assert {triton.outcomes[one]["status"] for one in answered} == {200}


def _line_ends(content: bytes) -> list[int]:
    return [at + 1 for at, byte in enumerate(content) if byte == ord("\n")]
