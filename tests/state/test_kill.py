"""What was acknowledged is there after a kill -9, of a writer or of Redis itself.

LLM_ROUTER_KILLS sets the number of rounds of the long tests (default 40).
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from router_backend.core.records import LearningEvent
from router_backend.state.open import open_store
from router_backend.state.store import Store
from tests.support.redis_server import RedisServer


@pytest.fixture(params=["sqlite", "redis", pytest.param("dynamodb", marks=pytest.mark.slow)])
def store_url(request: pytest.FixtureRequest) -> str:
    """An older Redis keeps its promise by the same `appendfsync always`: the contract's tests suffice for it."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


ROOT = Path(__file__).parents[2]
WRITERS = 2
ROUNDS = int(os.environ.get("LLM_ROUTER_KILLS", "40"))


class Writer:
    """A child process; `acknowledged` grows as it reports."""

    def __init__(self, url: str, state_dir: Path, seed: int) -> None:
        command = [sys.executable, "-m", "tests.support.acknowledging_writer", url, str(state_dir), str(seed)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        self.acknowledged: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.acknowledged.append(line.strip())

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 300
        while len(self.acknowledged) < count:
            assert time.monotonic() < deadline, "the writer acknowledges nothing"
            assert self._process.poll() is None, "the writer ended by itself"
            time.sleep(0.002)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()


@contextmanager
def writers(url: str, state_dir: Path, round_number: int) -> Iterator[list[Writer]]:
    started = [Writer(url, state_dir, 10_000_000 * (WRITERS * round_number + index)) for index in range(WRITERS)]
    try:
        yield started
    finally:
        for writer in started:
            writer.kill()


def settled(store: Store) -> tuple[list[LearningEvent], int]:
    """All events and their count. What a killed writer had sent may still be on its way: it must not come in between."""
    while True:
        before, events = feedback_count(store), list[LearningEvent]()
        while page := store.events(events[-1].sequence if events else 0):
            events += page
        if feedback_count(store) == before:
            return events, before


def feedback_count(store: Store) -> int:
    return sum(count["feedback"] for count in store.counts().values())


def check(store: Store, acknowledged: set[str]) -> None:
    """Every acknowledged id has its decision, outcome, one event and its count, and the log has no gap."""
    events, counted = settled(store)
    learned = [event.decision_id for event in events]
    assert acknowledged <= set(learned)
    assert len(learned) == len(set(learned))
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert counted == len(learned)
    for decision_id in learned:
        assert store.decision(decision_id) is not None
        assert store.outcome(decision_id) is not None


def kill_writers(url: str, state_dir: Path, rounds: int) -> None:
    most = 20 if url.startswith("dynamodb") else 200  # moto's server is no fast one
    acknowledged: set[str] = set()
    for number in range(rounds):
        with writers(url, state_dir, number) as started:
            for writer in started:
                writer.wait_for(random.randint(5, most))
                writer.kill()
        acknowledged.update(*(writer.acknowledged for writer in started))
        store = open_store(url, state_dir)
        check(store, acknowledged)
        store.close()
    assert len(acknowledged) >= rounds * WRITERS * 5


def kill_redis(server: RedisServer, state_dir: Path, rounds: int) -> None:
    acknowledged: set[str] = set()
    for number in range(rounds):
        with writers(server.url, state_dir, number) as started:
            for writer in started:
                writer.wait_for(random.randint(5, 100))
            server.kill()
            before = [len(writer.acknowledged) for writer in started]
            server.start()
            for writer, count in zip(started, before, strict=True):  # they go on by themselves
                writer.wait_for(count + 5)
        acknowledged.update(*(writer.acknowledged for writer in started))
        store = open_store(server.url, state_dir)
        check(store, acknowledged)
        store.close()
    assert len(acknowledged) >= rounds * WRITERS * 10


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis").start()
    yield server
    server.kill()


def test_killed_writers_lose_nothing_acknowledged(store_url: str, tmp_path: Path) -> None:
    kill_writers(store_url, tmp_path, rounds=2)


def test_a_killed_redis_loses_nothing_acknowledged(own_redis: RedisServer, tmp_path: Path) -> None:
    kill_redis(own_redis, tmp_path, rounds=2)


@pytest.mark.slow
def test_killed_writers_lose_nothing_acknowledged_in_many_rounds(store_url: str, tmp_path: Path) -> None:
    kill_writers(store_url, tmp_path, rounds=max(1, ROUNDS // 10) if store_url.startswith("dynamodb") else ROUNDS)


@pytest.mark.slow
def test_a_killed_redis_loses_nothing_acknowledged_in_many_rounds(own_redis: RedisServer, tmp_path: Path) -> None:
    kill_redis(own_redis, tmp_path, rounds=ROUNDS)
