"""Export and import: everything comes back, in a store of either kind, or nothing is written."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from router_backend.core.records import Decision, LearningEvent
from router_backend.lab.replay.decision_log import read_log
from router_backend.state.codec import encode
from router_backend.state.open import open_store
from router_backend.state.store import Store, StoreMissing
from router_backend.state.transfer import TransferError, export_decisions, export_state, import_state
from tests.state.examples import make_decision, make_feedback, make_outcome

DAY = 86_400.0


def fill(store: Store) -> list[Decision]:
    """A pruned decision that taught, scored ones, a pending and an unscored one, a named one."""
    now = time.time()
    decisions = [make_decision(number, created=now - (30 * DAY if number == 0 else number)) for number in range(6)]
    decisions[5] = replace(decisions[5], kind="named", context=np.zeros(0, np.float32), propensity=None)
    store.append(decisions, [make_outcome(decision) for decision in decisions[:-2]])
    store.add_feedback_many([make_feedback(decision) for decision in (*decisions[:2], decisions[5])])
    store.add_feedback(make_feedback(decisions[2], 0.0, implicit="truncated", received=now))
    store.prune(before=now - DAY)
    return decisions


def contents(store: Store) -> list[bytes]:
    records = store.archive().records()
    return sorted(encode(replace(r, sequence=0) if isinstance(r, LearningEvent) else r) for r in records)


@pytest.fixture(params=["state.jsonl", "state.jsonl.gz"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / str(request.param)


@pytest.fixture(params=["sqlite:///other.db", "redis"])
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    url = (
        request.getfixturevalue("redis_url").replace("?prefix={", "?prefix={other") if request.param == "redis" else ""
    )
    return open_store(url or request.param, tmp_path)


def test_everything_comes_back_and_goes_on(store: Store, other: Store, file: Path) -> None:
    decisions = fill(store)
    assert export_state(store.archive(), file) == import_state(other.archive(), file)
    assert contents(other) == contents(store)
    assert other.counts() == store.counts()
    assert other.event_count() == store.event_count() == 2
    assert other.add_feedback(make_feedback(decisions[1])).duplicate
    assert not other.add_feedback(make_feedback(decisions[2], 1.0)).duplicate  # it was pending
    assert not other.add_feedback(make_feedback(decisions[3], 1.0)).duplicate
    assert [event.decision_id for event in other.events(0)] == [d.decision_id for d in decisions[:4]]
    assert other.settle(1e12, 1e12) == 0
    other.close()


def test_a_store_that_holds_something_is_refused(store: Store, tmp_path: Path) -> None:
    fill(store)
    export_state(store.archive(), tmp_path / "export")
    before = contents(store)
    with pytest.raises(TransferError, match="isn't empty; `llm-router state reset`"):
        import_state(store.archive(), tmp_path / "export")
    assert contents(store) == before


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda lines: lines[:-1], "cut off after 1"),
        (lambda lines: [*lines[:5], *lines[6:]], "cut off after"),
        (lambda lines: [b"{}", *lines[1:]], ":1: no header"),
        (lambda lines: [b'{"llm_router_state":2}', *lines[1:]], ":1: format 2; this build reads format 1"),
        (lambda lines: [*lines[:3], b"rubbish", *lines[4:]], ":4: not a line of an export"),
        (lambda lines: [*lines[:3], b'{"decision":{"decision_id":7}}', *lines[4:]], ":4: not a Decision"),
        (lambda lines: [*lines[:3], b'{"song":{}}', *lines[4:]], ":4: unknown record 'song'"),
    ],
)
def test_a_damaged_file_writes_nothing(
    damage: Callable[[list[bytes]], list[bytes]], complaint: str, store: Store, other: Store, tmp_path: Path
) -> None:
    fill(store)
    export_state(store.archive(), tmp_path / "export")
    (tmp_path / "export").write_bytes(b"\n".join(damage((tmp_path / "export").read_bytes().splitlines())) + b"\n")
    with pytest.raises(TransferError, match=complaint):
        import_state(other.archive(), tmp_path / "export")
    assert other.archive().empty()
    other.close()


def test_a_cut_gzip_file_writes_nothing(store: Store, other: Store, tmp_path: Path) -> None:
    fill(store)
    export_state(store.archive(), tmp_path / "export.gz")
    data = (tmp_path / "export.gz").read_bytes()
    (tmp_path / "export.gz").write_bytes(data[: len(data) // 2])
    with pytest.raises(TransferError, match=r"export\.gz: can't be read"):
        import_state(other.archive(), tmp_path / "export.gz")
    assert other.archive().empty()
    other.close()


def test_after_a_reset_sequences_go_on_so_that_no_reader_overlooks_an_event(store: Store) -> None:
    fill(store)
    seen = store.events(0)[-1].sequence
    store.archive().clear()
    assert store.archive().empty()
    assert (store.counts(), store.events(0)) == ({}, [])
    fill(store)
    assert len(store.events(seen)) == 2


def test_the_decision_log_holds_scores_where_there_are_any(store: Store, tmp_path: Path) -> None:
    fill(store)
    assert export_decisions(store, tmp_path / "log.jsonl") == 5
    rows = [orjson.loads(line) for line in (tmp_path / "log.jsonl").read_bytes().splitlines()]
    scored = [row for row in rows if row.get("score") is not None and not row["implicit"]]
    assert {row["kind"] for row in scored} == {"routed", "named"}
    assert all(row["served"] == row["model"] and row["cost"] is not None for row in scored)
    assert sum("score" not in row for row in rows) == 2
    log = read_log(tmp_path / "log.jsonl")  # as `evaluate-policy` reads it
    assert [(row.score, row.cost) for row in log.rows] == [(0.0, 0.0005), (0.75, 0.0005)]
    assert log.left_out == {"named (no policy chose)": 1, "without a score": 2}


def test_an_export_goes_through_a_pipe(store: Store, other: Store, tmp_path: Path) -> None:
    fill(store)
    pipe, file = tmp_path / "pipe", tmp_path / "file"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(pipe.read_bytes)
        count = export_state(store.archive(), pipe)
        file.write_bytes(reading.result(20))
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert import_state(other.archive(), file) == count
    other.close()


def test_an_export_to_a_device_leaves_the_device(store: Store, tmp_path: Path) -> None:
    fill(store)
    device = tmp_path / "null"
    device.symlink_to("/dev/null")
    export_state(store.archive(), device)
    assert device.is_symlink()
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("exists", [True, False])
def test_an_export_to_a_link_replaces_what_it_leads_to(store: Store, tmp_path: Path, exists: bool) -> None:
    fill(store)
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "export", tmp_path / "link"
    link.symlink_to(target)
    if exists:
        target.write_bytes(b"before")
    count = export_state(store.archive(), link)
    assert link.is_symlink()
    assert len(target.read_bytes().splitlines()) == count + 2


@pytest.mark.parametrize("name", ["with a space", "état-状态-🙂", "a%20b?c#d&e"])
def test_any_name_of_a_folder_works(name: str, tmp_path: Path) -> None:
    store = open_store("sqlite:///state.db", tmp_path / name)
    fill(store)
    count = export_state(store.archive(), tmp_path / name / f"{name}.jsonl.gz")
    store.archive().clear()
    assert import_state(store.archive(), tmp_path / name / f"{name}.jsonl.gz") == count
    store.close()
    again = open_store("sqlite:///state.db", tmp_path / name)
    assert again.event_count() == 2
    again.close()


def test_looking_makes_no_store(store_url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreMissing, match="no state yet"):
        open_store(store_url, tmp_path / "none", create=False)
    assert not (tmp_path / "none").exists()
    open_store(store_url, tmp_path / "none").close()
    looking = open_store(store_url, tmp_path / "none", create=False)
    assert looking.counts() == {}
    looking.close()
