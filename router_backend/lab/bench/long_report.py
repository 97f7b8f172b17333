"""`llm-router report` over a long archive: wall time and memory of a process of its own.

Decisions, outcomes and scores are drawn by column and written day by day, as an archiver leaves a day that is over: one file a table, and the
table that reports read. Reports read no context, so there is none in the rows.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from router_backend.archive.answers import build_answers
from router_backend.archive.place import Place, open_place
from router_backend.archive.reading import tables
from router_backend.archive.schema import schema
from router_backend.archive.writer import PLAIN
from router_backend.contract import TASKS
from router_backend.core.ids import new_decision_id

DAYS = 28
_ARMS = ("small", "middle", "large")
_PRICES = np.array([0.1, 0.5, 3.0])  # USD a million tokens of the prompt; of the answer four times as much
_KEYS = tuple(f"key-{n}" for n in range(20))
_SCORED = 0.05  # of the decisions
_GROUP = 100_000  # rows that are drawn, and a row group
_DAY = 86_400
_HEX = np.frombuffer(b"".join(b"%02x" % n for n in range(256)), np.uint8).reshape(256, 2)
_TIME = pa.timestamp("us", "UTC")


@dataclass(frozen=True, slots=True, kw_only=True)
class LongReport:
    """Seconds, and bytes."""

    decisions: int
    archive: int
    written: float
    put_together: float  # by the archiver, once
    seconds: float  # of the report
    processor: float  # that it took
    memory: int  # resident, at most


def measure(
    decisions: int, folder: Path, say: Callable[[str], None] = lambda text: None, days: int = DAYS
) -> LongReport:
    """In an empty folder. ValueError if the report doesn't count what was written."""
    config = folder / "router.yaml"
    config.write_text(_CONFIG, encoding="utf-8")
    place, draw = open_place("archive", folder), np.random.default_rng(0)
    began = (int(time.time()) // _DAY - days) * _DAY
    written = together = 0.0
    for day in range(days):
        number = decisions * (day + 1) // days - decisions * day // days
        at = time.perf_counter()
        name = _write_day(place, draw, began + day * _DAY, number)
        made = time.perf_counter()
        with tables(place) as opened:
            build_answers(place, opened, name)
        written, together = written + made - at, together + time.perf_counter() - made
        say(f"{name}: {number:,} decisions")
    found, seconds, processor, memory = _report(config, folder, f"{days + 1}d")
    if found["total"]["requests"] != decisions:
        raise ValueError(f"the report counts {found['total']['requests']:,} requests of {decisions:,}")
    archive = sum(path.stat().st_size for path in (folder / "archive").rglob("*.parquet"))
    return LongReport(
        decisions=decisions,
        archive=archive,
        written=written,
        put_together=together,
        seconds=seconds,
        processor=processor,
        memory=memory,
    )


def markdown(found: LongReport) -> list[str]:
    return [
        "| | |",
        "|---|---:|",
        f"| decisions in the archive, with outcomes, {_SCORED:.0%} of them scored | {found.decisions:,} |",
        f"| archive, without contexts | {found.archive / 1e9:,.1f} GB |",
        f"| putting days together, once | {found.put_together:,.0f} s |",
        f"| `report` over all | {found.seconds:.1f} s, {found.processor:.1f} s of the processor |",
        f"| its memory, at most | {found.memory / 1e9:.2f} GB |",
    ]


def _report(config: Path, folder: Path, since: str) -> tuple[dict[str, Any], float, float, int]:
    """(what it said, its seconds, those of the processor, its memory)."""
    command = [sys.executable, "-m", "router_backend.cli.main", "report", "--since", since, "--format", "json"]
    out, at = folder / "report.json", time.perf_counter()
    with out.open("wb") as file:
        process = subprocess.Popen([*command, "--config", str(config), "--state-dir", str(folder)], stdout=file)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - at
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return orjson.loads(out.read_bytes()), seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


def _write_day(place: Place, draw: np.random.Generator, began: int, number: int) -> str:
    """One file a table; the day's name."""
    day = datetime.fromtimestamp(began, UTC).strftime("%Y-%m-%d")
    writers = {}
    for table in ("decisions", "outcomes", "feedback"):
        folder = Path(place.folder(table, day))
        folder.mkdir(parents=True)
        columns = schema(table)
        dictionaries = [name for name in columns.names if name not in PLAIN]
        writers[table] = pq.ParquetWriter(
            folder / f"{new_decision_id(began + _DAY)}.parquet",
            columns,
            compression="zstd",
            use_dictionary=dictionaries,
        )
    for first in range(0, number, _GROUP):
        last = min(first + _GROUP, number)
        at = began + (np.arange(first, last) + draw.random(last - first)) * _DAY / number
        for table, rows in _rows(draw, at).items():
            writers[table].write_table(rows, _GROUP)
    for writer in writers.values():
        writer.close()
    return day


def _rows(draw: np.random.Generator, at: NDArray[np.float64]) -> dict[str, pa.Table]:
    """Of decisions at Unix times, which ascend."""
    n = len(at)
    ids, arms, tasks = _ids(draw, at), draw.integers(0, len(_ARMS), n), draw.integers(0, len(TASKS), n)
    prompt, completion = draw.integers(20, 4000, n), draw.integers(1, 1000, n)
    latency = draw.lognormal(0.5, 0.8, n)
    cost = _PRICES[arms] * (prompt + 4 * completion) / 1e6
    chance = np.full(n, 1 / len(_ARMS))
    decisions = {
        "decision_id": ids,
        "created": _times(at),
        "kind": _same("routed", n),
        "model": _named(_ARMS, arms),
        "reason": _same("policy:linucb", n),
        "policy": _same("linucb", n),
        "task": _named(TASKS, tasks),
        "propensity": pa.array(chance),
        "session": _same("", n),
    }
    outcomes = {
        "decision_id": ids,
        "completed": _times(at + latency),
        "served": _named(_ARMS, arms),
        "status": pa.array(np.where(draw.random(n) < 0.01, 500, 200), pa.int32()),
        "usage_known": pa.array(np.ones(n, bool)),
        "prompt_tokens": pa.array(prompt),
        "cached_tokens": pa.array(np.zeros(n, np.int64)),
        "cache_write_tokens": pa.array(np.zeros(n, np.int64)),
        "completion_tokens": pa.array(completion),
        "reasoning_tokens": pa.array(np.zeros(n, np.int64)),
        "cost": pa.array(cost),
        "latency": pa.array(latency),
        "key": _named(_KEYS, draw.integers(0, len(_KEYS), n)),
    }
    scored = np.flatnonzero(draw.random(n) < _SCORED)
    scores = draw.integers(0, 2, len(scored)).astype(float)
    feedback = {
        "decision_id": ids.take(scored),
        "received": _times(at[scored] + 60.0),
        "score": pa.array(scores),
        "implicit": _same("", len(scored)),
        "selected": pa.array(np.ones(len(scored))),
        "arm": _named(_ARMS, arms[scored]),
        "quality": pa.array(scores),
        "credited_cost": pa.array(cost[scored]),
    }
    drawn = {"decisions": decisions, "outcomes": outcomes, "feedback": feedback}
    return {table: _whole(table, columns) for table, columns in drawn.items()}


def _whole(table: str, columns: dict[str, pa.Array]) -> pa.Table:
    """With nulls in the columns that reports don't read."""
    n, whole = len(columns["decision_id"]), schema(table)
    return pa.table([columns.get(field.name, pa.nulls(n, field.type)) for field in whole], whole)


def _ids(draw: np.random.Generator, at: NDArray[np.float64]) -> pa.Array:
    """UUIDv7s, as `core.ids` makes them."""
    n = len(at)
    raw = draw.integers(0, 256, (n, 16), np.uint8)
    raw[:, :6] = (at * 1000).astype(">u8").view(np.uint8).reshape(n, 8)[:, 2:]
    raw[:, 6] = raw[:, 6] & 0x0F | 0x70
    raw[:, 8] = raw[:, 8] & 0x3F | 0x80
    text = np.full((n, 36), ord("-"), np.uint8)
    text[:, [place for place in range(36) if place not in (8, 13, 18, 23)]] = _HEX[raw].reshape(n, 32)
    offsets = np.arange(0, 36 * n + 1, 36, dtype=np.int32)
    return pa.StringArray.from_buffers(n, pa.py_buffer(offsets), pa.py_buffer(text))


def _times(at: NDArray[np.float64]) -> pa.Array:
    return pa.array((at * 1e6).astype(np.int64)).cast(_TIME)


def _named(names: Sequence[str], places: NDArray[np.int64]) -> pa.Array:
    return pa.array(names).take(pa.array(places))


def _same(text: str, n: int) -> pa.Array:
    return pa.repeat(text, n)


_MODELS = "".join(
    f"  - {{name: {arm}, upstream: {{kind: local}}, price: {{input: {price}, output: {4 * price}}}, context_window: 8192}}\n"
    for arm, price in zip(_ARMS, _PRICES.tolist(), strict=True)
)
_CONFIG = f"version: 1\nmodels:\n{_MODELS}default_model: small\narchive: archive\n"
