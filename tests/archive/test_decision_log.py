"""The decision log out of the archive is the one out of the store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from router_backend.archive.archiver import Archiver
from router_backend.archive.decision_log import export_archived_decisions
from router_backend.archive.place import open_place
from router_backend.archive.reading import tables
from router_backend.state.sqlite.store import SQLiteStore
from router_backend.state.transfer import export_decisions
from tests.state.examples import make_decision, make_feedback, make_outcome


def test_store_and_archive_give_the_same_log(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "state.db")
    rich = {"task_probabilities": (0.25, 0.75), "shadows": (("ucb1", "small"),), "scores": (0.5, 0.25, 0.125)}
    made = [make_decision(number, **rich) for number in range(3)]
    store.append(made, [make_outcome(decision) for decision in made[:2]])
    store.add_feedback(make_feedback(made[0], task="math"))
    place = open_place("archive", tmp_path)
    Archiver(store, place).drain()
    assert export_decisions(store, tmp_path / "store.jsonl") == 3
    with tables(place) as opened:
        assert export_archived_decisions(opened, tmp_path / "archive.jsonl", 0.0) == 3
        assert export_archived_decisions(opened, tmp_path / "none.jsonl", made[-1].created + 60) == 0

    def read(name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]

    ours, theirs = read("archive.jsonl"), read("store.jsonl")
    assert [row.pop("created") for row in ours] == pytest.approx([row.pop("created") for row in theirs], abs=1e-5)
    assert ours == theirs
    assert ours[0]["task_label"] == "math"
