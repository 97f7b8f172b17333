"""The state stores: acknowledged (durable) feedback a second by four writers, logged decisions, the time of a rebuild."""

from __future__ import annotations

import multiprocessing
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import redis

from router_backend.bandits.context import CONTEXT_DIM
from router_backend.config import parse_config
from router_backend.core.ids import new_decision_id
from router_backend.core.records import Decision, Feedback, Outcome, Usage
from router_backend.lab.bench.processes import NotReady, Running, free_port
from router_backend.learning.fold import Fold
from router_backend.learning.recorder import Recorder
from router_backend.state.open import open_store
from router_backend.state.store import Store

WRITERS = 4
CALLERS = 16  # of one writer, at once
_ARMS = ("small", "middle", "large")
_SPACE = 7
_REDIS_SECONDS = 20.0
_WRITER_SECONDS = 120.0  # to start, and to write: a writer that died would be waited for
_CONFIG = (
    "version: 1\nmodels:\n"
    + "".join(
        f"  - {{name: {arm}, upstream: {{kind: local}}, price: {{input: 1, output: 2}}, context_window: 8192}}\n"
        for arm in _ARMS
    )
    + "default_model: small\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRates:
    """Acknowledged feedback a second, of single calls unless said otherwise."""

    threads: float  # four threads of one process, whose calls share commits
    processes: float  # four processes of one thread
    callers: float  # four processes of `CALLERS` threads: replicas under load
    batches: float  # four processes, 32 a call
    decisions: float  # logged by a recorder, a second
    hot_path_us: float  # that logging one costs who decides
    rebuild_events: int
    rebuild_seconds: float  # to fold the log into policies


def measure_store(url: str, folder: Path, number: int, events: int) -> StoreRates:
    """`number` feedbacks a phase; a rebuild from at least `events`."""
    store = open_store(url, folder)
    try:
        threads = _by_threads(store, _prepare(store, number), WRITERS)
        processes = _by_processes(url, folder, _prepare(store, number), 1, 1)
        callers = _by_processes(url, folder, _prepare(store, number), CALLERS, 1)
        batches = _by_processes(url, folder, _prepare(store, number), 1, 32)
        decisions, hot_path = _recorded(store, number)
        while (missing := events - store.event_count()) > 0:
            page = _prepare(store, min(5000, missing))
            store.add_feedback_many([_feedback(decision) for decision in page])
        seconds = _rebuild(store)
        return StoreRates(
            threads=threads,
            processes=processes,
            callers=callers,
            batches=batches,
            decisions=decisions,
            hot_path_us=hot_path,
            rebuild_events=store.event_count(),
            rebuild_seconds=seconds,
        )
    finally:
        store.close()


def measure_beside(
    folder: Path, number: int, beside: Callable[[str], AbstractContextManager[None]]
) -> tuple[float, float]:
    """Feedback a second of four threads of single calls in Redis: alone, and while something else works with the store of that URL."""
    running, url = start_redis(folder / "redis")
    store = open_store(url, folder)
    try:
        alone = _by_threads(store, _prepare(store, number), WRITERS)
        decisions = _prepare(store, number)
        with beside(url):
            return alone, _by_threads(store, decisions, WRITERS)
    finally:
        store.close()
        running.stop()


def redis_version() -> str:
    """Of the redis-server that is installed; empty if there is none."""
    found = shutil.which("redis-server")
    if found is None:
        return ""
    words = subprocess.check_output([found, "--version"], text=True).split()
    return next((word[2:] for word in words if word.startswith("v=")), "unknown")


def start_redis(folder: Path) -> tuple[Running, str]:
    """A durable redis-server (append-only file, each write synced) on a free port, and its URL.

    Raises:
        NotReady: it ended, or did not answer in time.
    """
    folder.mkdir()
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    running = Running.start("redis", [*command, "--appendonly", "yes", "--appendfsync", "always"], folder / "log")
    deadline = time.monotonic() + _REDIS_SECONDS
    with redis.Redis(port=port) as client:
        while True:
            try:
                client.ping()
                return running, f"redis://127.0.0.1:{port}/0"
            except redis.exceptions.RedisError as error:
                if time.monotonic() > deadline or running.process.poll() is not None:
                    running.stop()
                    raise NotReady(f"redis-server did not start (log: {running.log})") from error
                time.sleep(0.02)


def _prepare(store: Store, number: int) -> list[Decision]:
    """Decisions with outcomes, ready for feedback."""
    draw = np.random.default_rng(number)
    decisions = [_decision(draw, index) for index in range(number)]
    for start in range(0, number, 500):
        page = decisions[start : start + 500]
        store.append(page, [_outcome(decision) for decision in page])
    return decisions


def _decision(draw: np.random.Generator, number: int) -> Decision:
    return Decision(
        decision_id=new_decision_id(),
        created=time.time(),
        kind="routed",
        model=_ARMS[number % len(_ARMS)],
        reason="policy:linucb",
        policy="linucb",
        policy_version="linucb-1",
        task="math",
        embedding_space=_SPACE,
        context=draw.normal(size=CONTEXT_DIM).astype(np.float32),
        candidates=_ARMS,
        expected_cost=(0.001, 0.002, 0.003),
        propensity=0.5,
    )


def _outcome(decision: Decision) -> Outcome:
    return Outcome(
        decision_id=decision.decision_id,
        completed=decision.created + 1,
        served=decision.model,
        status=200,
        usage=Usage(prompt=10, completion=20),
        usage_known=True,
        cost=0.0005,
    )


def _feedback(decision: Decision) -> Feedback:
    return Feedback(decision_id=decision.decision_id, received=decision.created + 2, score=0.75)


def _give(store: Store, decisions: Sequence[Decision], batch: int) -> None:
    feedbacks = [_feedback(decision) for decision in decisions]
    for start in range(0, len(feedbacks), batch):
        if batch == 1:
            store.add_feedback(feedbacks[start])
        else:
            store.add_feedback_many(feedbacks[start : start + batch])


def _by_threads(store: Store, decisions: Sequence[Decision], count: int, batch: int = 1) -> float:
    """Feedback a second."""
    shares = [decisions[writer::count] for writer in range(count)]
    threads = [threading.Thread(target=_give, args=(store, share, batch)) for share in shares]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(decisions) / (time.perf_counter() - started)


def _writer(
    url: str, folder: Path, decisions: Sequence[Decision], callers: int, batch: int, ready: Any, end: Any
) -> None:
    store = open_store(url, folder)
    ready.wait(_WRITER_SECONDS)
    _by_threads(store, decisions, callers, batch)
    end.put(time.monotonic())  # of the machine, not of the process
    store.close()


def _by_processes(url: str, folder: Path, decisions: Sequence[Decision], callers: int, batch: int) -> float:
    """Feedback a second of `WRITERS` processes of so many threads."""
    context = multiprocessing.get_context("spawn")
    ready, ends = context.Barrier(WRITERS + 1), context.Queue()
    shares = [decisions[writer::WRITERS] for writer in range(WRITERS)]
    writers = [
        context.Process(target=_writer, args=(url, folder, share, callers, batch, ready, ends)) for share in shares
    ]
    for writer in writers:
        writer.start()
    ready.wait(_WRITER_SECONDS)
    started = time.monotonic()
    ended: float = max(ends.get(timeout=_WRITER_SECONDS) for _ in writers)
    for writer in writers:
        writer.join()
    return len(decisions) / (ended - started)


def _recorded(store: Store, number: int) -> tuple[float, float]:
    """Decisions a second through a recorder, and µs of each that the hot path pays."""
    draw, recorder = np.random.default_rng(number), Recorder(store)
    decisions = [_decision(draw, index) for index in range(number)]
    started = time.perf_counter()
    for decision in decisions:
        recorder.decision(decision)
    queued = time.perf_counter() - started
    recorder.flush(decisions[-1].decision_id, 60)
    whole = time.perf_counter() - started
    recorder.close()
    return number / whole, 1e6 * queued / number


def _rebuild(store: Store) -> float:
    fold, started = Fold(parse_config(_CONFIG), _SPACE), time.perf_counter()
    while events := store.events(fold.sequence, 5000):
        fold.fold(events)
    fold.view()
    return time.perf_counter() - started
