"""What a deployment's past costs: the hot store's size, a start, and learning it all again from the archive.

Observations are written as an import writes them, archived by the archiver, learned from and left behind by checkpoints, in turns, as in
a deployment that runs. Then a router starts, and a configuration that learns in another way is rebuilt.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np

from router_backend.archive.archiver import Archiver
from router_backend.archive.place import open_place
from router_backend.archive.process import serve
from router_backend.bandits.context import CONTEXT_DIM
from router_backend.config import RouterConfig, parse_config
from router_backend.contract import TASKS
from router_backend.core.ids import new_decision_id
from router_backend.core.records import LearningEvent, Usage
from router_backend.lab.bench.stores import measure_beside, start_redis
from router_backend.learning.fold import Fold
from router_backend.learning.following import Following
from router_backend.learning.learner import Learner
from router_backend.learning.rebuild import rebuild
from router_backend.learning.resume import keep
from router_backend.state.open import open_store
from router_backend.state.store import Store

_SPACE = 7
_ARMS = ("small", "middle", "large")
_PAGE = 20_000
BEHIND = 200_000
"""Observations that a learner is behind by."""
_GROUP = 2000  # that Redis is given at once
_DAY_EVENTS = 250_000  # so many observations come in a day of the past
_START_SECONDS = 3600.0
_BESIDE_SECONDS = 60.0  # for a router and an archiver to begin
_MODELS = "".join(
    f"  - {{name: {arm}, upstream: {{kind: local}}, price: {{input: 1, output: 2}}, context_window: 8192}}\n"
    for arm in _ARMS
)


def _config(initial_quality: float = 0.5) -> RouterConfig:
    policy = f"policy: {{name: linucb, initial_quality: {initial_quality}}}"
    return parse_config(f"version: 1\nmodels:\n{_MODELS}default_model: small\narchive: archive\n{policy}\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Age:
    """Sizes in bytes, times in seconds."""

    events: int
    hot: tuple[int, ...]  # the store's size at each tenth of the past
    archive: int
    start: float  # until decisions are learned ones
    rebuild: float
    rebuilt: int  # observations out of the archive and the store


def measure(events: int, folder: Path, say: Callable[[str], None] = lambda text: None) -> Age:
    """In an empty folder, with SQLite."""
    store, config = open_store("sqlite:///state.db", folder), _config()
    place, fold, following = open_place("archive", folder), Fold(config, _SPACE), Following(store)
    archiver, done = Archiver(store, place), 0
    sizes: list[int] = []
    fold.log = store.log()
    began = time.time() - 86_400.0 * events / _DAY_EVENTS
    for page in _pages(events, began):
        store.archive().restore(page)
        archiver.drain()
        while len(kept := store.observations(fold.sequence, 5000)):
            fold.fold(kept)
        following.follow(fold)
        keep(store, fold.checkpoint())
        following.compact(fold.log)
        done += len(page)
        if done * 10 // events > len(sizes):
            sizes.append(_size(folder))
            say(f"{done:,} observations: {sizes[-1] / 1e6:,.0f} MB in the store")
    start = _start(store, config)
    say(f"start: {start:.2f} s")
    at = time.perf_counter()
    found = rebuild(store, _config(0.4), folder, _SPACE)
    seconds = time.perf_counter() - at
    store.close()
    archived = sum(path.stat().st_size for path in (folder / "archive").rglob("*.parquet"))
    return Age(
        events=events,
        hot=tuple(sizes),
        archive=archived,
        start=start,
        rebuild=seconds,
        rebuilt=found.archived + found.kept,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class InRedis:
    """Of a server of its own, a second."""

    caught_up: float
    alone: float  # feedback of four writers
    beside: float  # the same beside a learner and an archiver

    @classmethod
    def measured(cls, folder: Path, behind: int, scores: int) -> InRedis:
        """Of a learner that is behind by so many observations, and of so many feedbacks. NotReady if the server doesn't start."""
        running, url = start_redis(folder / "behind")
        try:
            caught_up = catch_up(url, folder, behind)
        finally:
            running.stop()
        alone, beside = feedback(scores, folder)
        return cls(caught_up=caught_up, alone=alone, beside=beside)


def markdown(age: Age, caught_up: float, redis: InRedis | None) -> list[str]:
    """A table; `caught_up`: of `catch_up` with SQLite."""
    rows = [f"| a learner that is behind catches up, SQLite | {caught_up:,.0f} observations/s |"]
    if redis is not None:
        rows += [
            f"| the same, Redis | {redis.caught_up:,.0f} observations/s |",
            f"| feedback acknowledged in Redis, four writers of single calls | {redis.alone:,.0f}/s |",
            f"| the same beside checkpoints and an archiver | {redis.beside:,.0f}/s |",
        ]
    return [
        "| | |",
        "|---|---:|",
        f"| observations in the past | {age.events:,} |",
        f"| start, until decisions are learned ones | {age.start:.2f} s |",
        f"| hot store, at a tenth and at the end of the past | {age.hot[0] / 1e6:,.0f} MB, {age.hot[-1] / 1e6:,.0f} MB |",
        f"| archive | {age.archive / 1e6:,.0f} MB |",
        f"| `state rebuild` | {age.rebuilt / age.rebuild:,.0f} observations/s |",
        *rows,
    ]


def catch_up(url: str, folder: Path, number: int) -> float:
    """Observations a second of a learner that is behind by so many, all of them in the store."""
    store, config = open_store(url, folder), _config()
    try:
        for page in _pages(number, time.time() - 86_400.0):
            for first in range(0, len(page), _GROUP):
                store.archive().restore(page[first : first + _GROUP])
        return number / _start(store, config)
    finally:
        store.close()


def feedback(number: int, folder: Path) -> tuple[float, float]:
    """Acknowledged feedback a second in Redis, four writers of single calls: alone, and beside the processes of a router, which learns,
    writes checkpoints and shortens the log, and of an archiver that writes each second."""

    @contextmanager
    def beside(url: str) -> Iterator[None]:
        context = multiprocessing.get_context("spawn")
        learns = context.Event()
        learner = context.Process(target=_learn, args=(url, folder, learns))
        others = [learner, context.Process(target=_archive, args=(url, folder))]
        for process in others:
            process.start()
        try:
            learns.wait(_BESIDE_SECONDS)
            _await_files(folder / "beside", time.monotonic() + _BESIDE_SECONDS)
            yield
        finally:
            for process in others:
                process.terminate()
                process.join()

    return measure_beside(folder, number, beside)


def _await_files(folder: Path, deadline: float) -> None:
    while time.monotonic() < deadline and not any(folder.rglob("*.parquet")):
        time.sleep(0.05)


def _learn(url: str, folder: Path, learns: Event) -> None:
    """As a router does, until SIGTERM."""
    store, stop = open_store(url, folder), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    learner = Learner(store, _config(), _SPACE)
    learner.start()
    learner.wait_until_current(_START_SECONDS)
    learns.set()
    stop.wait()
    learner.close()
    store.close()


def _archive(url: str, folder: Path) -> None:
    """As an archiver does, each second, until SIGTERM."""
    serve(_config().model_copy(update={"state": url, "archive": "beside"}), folder, every=1.0)


def _start(store: Store, config: RouterConfig) -> float:
    at = time.perf_counter()
    learner = Learner(store, config, _SPACE)
    learner.start()
    learner.wait_until_current(_START_SECONDS)
    seconds = time.perf_counter() - at
    learner.close()
    return seconds


def _size(folder: Path) -> int:
    """Of SQLite's files."""
    return sum(path.stat().st_size for path in folder.glob("state.db*"))


def _pages(events: int, began: float) -> Iterator[list[LearningEvent]]:
    draw = np.random.default_rng(0)
    for first in range(0, events, _PAGE):
        number = min(_PAGE, events - first)
        contexts = (draw.normal(size=(number, CONTEXT_DIM)) / 11).astype(np.float32)
        qualities, costs = draw.integers(0, 2, number).astype(float), draw.random(number) / 1000
        yield [
            LearningEvent(
                sequence=0,
                decision_id=new_decision_id(at := began + 86_400.0 * (first + n) / _DAY_EVENTS),
                arm=_ARMS[n % len(_ARMS)],
                at=at,
                embedding_space=_SPACE,
                context=contexts[n],
                task=TASKS[n % len(TASKS)],
                quality=float(qualities[n]),
                cost=float(costs[n]),
                output_tokens=200,
                usage=Usage(prompt=100, completion=200),
            )
            for n in range(number)
        ]
