"""`llm-router decisions`: the latest first, filtered; from store and archive alike."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from router_backend.archive.archiver import Archiver
from router_backend.archive.place import open_place
from router_backend.archive.reading import tables
from router_backend.cli.decisions import decisions
from router_backend.core.ids import new_decision_id
from router_backend.observability.decisions import of_archive, of_records
from router_backend.state.decision_rows import DecisionRow, Wanted
from router_backend.state.open import open_store
from tests.state.examples import make_decision, make_feedback, make_outcome
from tests.support.configs import local_config

HOUR = 3600.0
Ask = Callable[..., list[DecisionRow]]


def fill(folder: Path) -> dict[str, str]:
    """Four decisions in the store and the archive of a folder; their ids by name."""
    store, now, ids = open_store("sqlite:///state.db", folder), time.time(), {}
    for number, (name, key, task, score) in enumerate(
        (
            ("old", "app", "math", 0.1),
            ("good", "app", "math", 0.9),
            ("bad", "app", "other", 0.2),
            ("named", "", "", None),
        )
    ):
        at = now - (100 if name == "old" else 4 - number) * HOUR
        decision = make_decision(
            number, decision_id=new_decision_id(at), created=at, task=task, reason="policy:linucb" if task else "named"
        )
        outcome = make_outcome(decision, key=key, cost=0.001 * (number + 1))
        store.append([decision], [outcome])
        if score is not None:
            store.add_feedback(make_feedback(decision, score))
        ids[name] = decision.decision_id
    place = open_place("archive", folder)
    Archiver(store, place).drain()
    store.close()
    return ids


@pytest.fixture(params=["store", "archive"])
def ask(request: pytest.FixtureRequest, tmp_path: Path) -> Ask:
    def one(**changes: Any) -> list[DecisionRow]:
        wanted = Wanted(**{"start": time.time() - 24 * HOUR, **changes})
        if request.param == "store":
            store = open_store("sqlite:///state.db", tmp_path)
            rows = of_records(store.archive().records(), wanted)
            store.close()
            return rows
        with tables(open_place("archive", tmp_path)) as opened:
            return of_archive(opened, wanted)

    return one


def test_the_latest_come_first_and_each_filter_holds(ask: Ask, tmp_path: Path) -> None:
    ids = fill(tmp_path)
    names = {identity: name for name, identity in ids.items()}

    def found(**changes: Any) -> list[str]:
        return [names[row.decision_id] for row in ask(**changes)]

    assert found() == ["named", "bad", "good"]
    assert found(start=0.0) == ["named", "bad", "good", "old"]
    assert found(limit=1) == ["named"]
    assert found(key="app") == ["bad", "good"]
    assert found(model="middle") == ["good"]
    assert found(task="other") == ["bad"]
    assert found(reason="policy") == ["bad", "good"]
    assert found(cost_from=0.003) == ["named", "bad"]
    assert found(score_to=0.3) == ["bad"]
    assert found(score_from=0.3) == ["good"]
    (good,) = ask(score_from=0.3)
    assert (good.served, good.status, good.cost, good.score, good.key) == ("middle", 200, 0.002, 0.9, "app")


@pytest.mark.parametrize("source", [(), ("--archived",)])
def test_table_and_json_hold_the_same_decisions(source: tuple[str, ...], tmp_path: Path) -> None:
    ids = fill(tmp_path)
    config = local_config(tmp_path)
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {"archive": "archive"}))
    arguments = ["--config", str(config), "--state-dir", str(tmp_path), *source]
    command, runner = typer.Typer(), CliRunner()
    command.command()(decisions)
    rows = json.loads(runner.invoke(command, [*arguments, "--json"], catch_exceptions=False).stdout)
    assert [row["decision_id"] for row in rows] == [ids["named"], ids["bad"], ids["good"]]
    text = runner.invoke(command, arguments, catch_exceptions=False).stdout
    assert [line.split()[0] for line in text.splitlines()[1:]] == [row["decision_id"] for row in rows]
