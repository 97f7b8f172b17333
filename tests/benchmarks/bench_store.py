"""Rates of the state stores: acknowledged (durable) feedback and flushed decisions a second, and the time of a rebuild.

    python -m tests.benchmarks.bench_store [--seconds 3] [--events 100000] [--redis redis://…]

Without --redis it starts a redis-server of its own with `appendfsync always`. Writes one JSON object.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from router_backend.config import parse_config
from router_backend.routing.fold import Fold
from router_backend.routing.recorder import Recorder
from router_backend.state.open import open_store
from router_backend.state.records import Decision
from router_backend.state.store import Store
from tests.state.examples import ARMS, make_decision, make_feedback, make_outcome
from tests.support.redis_server import RedisServer

WRITERS = 4
CONFIG = (
    "version: 1\nmodels:\n"
    + "".join(
        f"  - {{name: {arm}, upstream: {{kind: local}}, price: {{input: 1, output: 2}}, context_window: 8192}}\n"
        for arm in ARMS
    )
    + "default_model: small\n"
)


def prepare(store: Store, number: int) -> list[Decision]:
    """Decisions with outcomes, ready for feedback."""
    decisions = [make_decision(index) for index in range(number)]
    for start in range(0, number, 500):
        page = decisions[start : start + 500]
        store.append(page, [make_outcome(decision) for decision in page])
    return decisions


def give(store: Store, decisions: Sequence[Decision], batch: int) -> None:
    feedbacks = [make_feedback(decision) for decision in decisions]
    for start in range(0, len(feedbacks), batch):
        if batch == 1:
            store.add_feedback(feedbacks[start])
        else:
            store.add_feedback_many(feedbacks[start : start + batch])


def by_threads(store: Store, decisions: Sequence[Decision], batch: int) -> float:
    """Feedback a second of WRITERS threads of one process."""
    shares = [decisions[writer::WRITERS] for writer in range(WRITERS)]
    threads = [threading.Thread(target=give, args=(store, share, batch)) for share in shares]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(decisions) / (time.perf_counter() - started)


def _child(url: str, folder: Path, decisions: Sequence[Decision], batch: int, ready: Any, ends: Any) -> None:
    store = open_store(url, folder)
    ready.wait()
    give(store, decisions, batch)
    ends.put(time.monotonic())  # of the machine, not of the process
    store.close()


def by_processes(url: str, folder: Path, decisions: Sequence[Decision], batch: int) -> float:
    """Feedback a second of WRITERS processes."""
    context = multiprocessing.get_context("spawn")
    ready, ends = context.Barrier(WRITERS + 1), context.Queue()
    shares = [decisions[writer::WRITERS] for writer in range(WRITERS)]
    children = [context.Process(target=_child, args=(url, folder, share, batch, ready, ends)) for share in shares]
    for child in children:
        child.start()
    ready.wait()
    started = time.monotonic()
    ended: float = max(ends.get() for _ in children)
    for child in children:
        child.join()
    return len(decisions) / (ended - started)


def recorded(store: Store, seconds: float) -> dict[str, float]:
    """Decisions a second through a recorder, and the hot path's share of it."""
    recorder = Recorder(store)
    decisions = [make_decision(index) for index in range(int(4000 * seconds))]
    started = time.perf_counter()
    for decision in decisions:
        recorder.decision(decision)
    queued = time.perf_counter() - started
    recorder.flush(decisions[-1].decision_id, 60)
    total = time.perf_counter() - started
    recorder.close()
    return {"decisions_per_second": len(decisions) / total, "hot_path_us": 1e6 * queued / len(decisions)}


def rebuild_seconds(store: Store) -> dict[str, float]:
    fold, started = Fold(parse_config(CONFIG), 7), time.perf_counter()
    while events := store.events(fold.sequence, 5000):
        fold.fold(events)
    fold.view()
    return {"events": store.event_count(), "seconds": time.perf_counter() - started}


def measure(url: str, folder: Path, seconds: float, events: int) -> dict[str, Any]:
    store = open_store(url, folder)
    number = int(3000 * seconds)
    report: dict[str, Any] = {}
    runs: list[tuple[str, Callable[[list[Decision]], float]]] = [
        ("4_threads", lambda decisions: by_threads(store, decisions, 1)),
        ("4_threads_batches_of_32", lambda decisions: by_threads(store, decisions, 32)),
        ("4_processes", lambda decisions: by_processes(url, folder, decisions, 1)),
        ("4_processes_batches_of_32", lambda decisions: by_processes(url, folder, decisions, 32)),
    ]
    for name, run in runs:
        report[f"feedback_per_second_{name}"] = round(run(prepare(store, number)))
    report["recorder"] = {key: round(value, 2) for key, value in recorded(store, seconds).items()}
    while store.event_count() < events:
        missing = prepare(store, min(5000, events - store.event_count()))
        store.add_feedback_many([make_feedback(decision) for decision in missing])
    report["rebuild"] = {key: round(value, 2) for key, value in rebuild_seconds(store).items()}
    store.close()
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="about how long each rate is measured")
    parser.add_argument("--events", type=int, default=100_000, help="length of the log that is rebuilt from")
    parser.add_argument("--redis", default="", help="URL of a Redis to measure; default: one of its own")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report = {"sqlite": measure("sqlite:///bench.db", folder, arguments.seconds, arguments.events)}
        server = None if arguments.redis else RedisServer(folder / "redis").start()
        url = server.url if server else arguments.redis
        report["redis"] = measure(f"{url}?prefix={{bench{time.time()}}}", folder, arguments.seconds, arguments.events)
        if server:
            server.kill()
    sys.stdout.write(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
