"""`llm-router state`."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from router_backend.archive.archiver import Archiver
from router_backend.archive.place import open_place
from router_backend.cli.state import state
from router_backend.core.judgement import Judgement
from router_backend.state.compaction import Reader
from router_backend.state.sqlite.store import SQLiteStore
from tests.state.examples import make_decision, make_feedback, make_outcome

CONFIG = """
version: 1
models:
  - {name: small, upstream: {kind: local}, price: {input: 1, output: 2}, context_window: 8192}
  - {name: idle, upstream: {kind: local}, price: {input: 1, output: 2}, context_window: 8192}
default_model: small
"""


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    (tmp_path / "router.yaml").write_text(CONFIG)
    store = SQLiteStore(tmp_path / "state.db")
    decisions = [make_decision(number) for number in range(4)]
    store.append(decisions, [make_outcome(decision) for decision in decisions])
    store.add_feedback(make_feedback(decisions[0]))
    store.close()
    return tmp_path


def run(state_dir: Path, *arguments: str, answer: str | None = None) -> Result:
    options = ["--config", str(state_dir / "router.yaml"), "--state-dir", str(state_dir)]
    return CliRunner().invoke(state, [*arguments, *options], input=answer)


def shown(state_dir: Path) -> dict[str, dict[str, int]]:
    result = run(state_dir, "show", "--json")
    assert result.exit_code == 0, result.output
    models: dict[str, dict[str, int]] = json.loads(result.stdout)["models"]
    return models


def test_show_counts_by_model_configured_or_not(state_dir: Path) -> None:
    assert shown(state_dir) == {
        "small": {"decisions": 2, "feedback": 1},
        "idle": {"decisions": 0, "feedback": 0},
        "middle": {"decisions": 1, "feedback": 0},
        "large": {"decisions": 1, "feedback": 0},
    }
    assert "1 observation learned from" in run(state_dir, "show").stdout


def test_show_says_when_a_model_was_found_changed(state_dir: Path) -> None:
    store = SQLiteStore(state_dir / "state.db")
    for score in (1.0, 0.0):
        decisions = [make_decision(n, model="small") for n in range(60)]
        store.append(decisions, [make_outcome(decision) for decision in decisions])
        store.add_feedback_many([make_feedback(decision, score) for decision in decisions])
    store.close()
    (change,) = json.loads(run(state_dir, "show", "--json").stdout)["changes"]["small"]
    assert change["shift"] < -0.5
    assert change["observations"] < 30
    assert "small was found changed since 20" in run(state_dir, "show").stdout


def test_show_says_how_far_a_judge_agrees_with_people(state_dir: Path) -> None:
    store = SQLiteStore(state_dir / "state.db")
    decisions = [make_decision(n, model="small") for n in range(40)]
    store.append(decisions, [make_outcome(decision) for decision in decisions])
    store.add_feedback_many([make_feedback(d, float(n % 2), implicit="judge") for n, d in enumerate(decisions)])
    store.add_feedback_many([make_feedback(d, float(n % 4 > 1)) for n, d in enumerate(decisions)])
    store.close()
    source = json.loads(run(state_dir, "show", "--json").stdout)["sources"]["judge"]
    assert (source["pairs"], source["agreement"], source["bias"]) == (40, 0.5, 0.0)
    assert source["weight"] < 0.5
    assert "judge agrees with people in 50% of 40 answers" in run(state_dir, "show").stdout


def test_judge_says_what_moves_its_grades(state_dir: Path) -> None:
    store = SQLiteStore(state_dir / "state.db")
    decisions = [make_decision(n, model="small") for n in range(40)]
    store.append(decisions, [make_outcome(decision) for decision in decisions])
    shown = [
        Judgement(judge="j", characters=9, reference="r", reference_characters=5, reference_score=0.5, first=n % 2 == 0)
        for n in range(40)
    ]
    scores = [0.9 if judgement.first else 0.1 for judgement in shown]
    store.add_feedback_many(
        [
            replace(make_feedback(decision, score, implicit="compared"), tags=judgement.tags(), received=time.time())
            for decision, score, judgement in zip(decisions, scores, shown, strict=True)
        ]
    )
    store.close()
    report = json.loads(run(state_dir, "judge", "--json").stdout)
    assert (report["compared"], report["first_wins"]["value"], report["longer_wins"]["value"]) == (40, 1.0, 0.5)
    assert "the first of two wins                 100% (91% … 100%) of 40" in run(state_dir, "judge").stdout


def test_a_copy_survives_a_reset(state_dir: Path) -> None:
    before = shown(state_dir)
    file = str(state_dir / "backup.jsonl.gz")
    assert "13 records" in run(state_dir, "export", file).stdout  # with 1 feedback, 1 event and 3 tallies
    assert run(state_dir, "reset", "--yes").exit_code == 0
    assert sum(count["decisions"] for count in shown(state_dir).values()) == 0
    assert run(state_dir, "import", file).exit_code == 0
    assert shown(state_dir) == before


def test_reset_asks_and_takes_no_for_an_answer(state_dir: Path) -> None:
    before = shown(state_dir)
    result = run(state_dir, "reset", answer="n\n")
    assert result.exit_code == 1
    assert "Remove 4 decisions and 1 observations" in result.output
    assert shown(state_dir) == before


def test_the_decision_log_is_one_decision_a_line(state_dir: Path) -> None:
    assert run(state_dir, "export", str(state_dir / "log.jsonl"), "--decisions").exit_code == 0
    assert len((state_dir / "log.jsonl").read_text().splitlines()) == 4


@pytest.mark.parametrize("arguments", [["show"], ["export", "copy"], ["reset", "--yes"]])
def test_a_look_at_no_state_says_so_and_makes_none(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "router.yaml").write_text(CONFIG)
    result = run(tmp_path, *arguments)
    assert result.exit_code == 1
    assert "no state yet" in str(result.exception)
    assert [file.name for file in tmp_path.iterdir()] == ["router.yaml"]


def test_what_is_in_the_archive_alone_is_learned_again_and_exported(state_dir: Path) -> None:
    (state_dir / "router.yaml").write_text(CONFIG + "archive: archive\n")
    store = SQLiteStore(state_dir / "state.db")
    more = [make_decision(number) for number in range(10, 15)]
    store.append(more, [make_outcome(decision) for decision in more])
    store.add_feedback_many([make_feedback(decision) for decision in more])
    Archiver(store, open_place("archive", state_dir)).drain()
    store.compaction().follow(Reader("one", store.log(), 4, ""))
    assert store.compaction().compact(store.log()) == 4
    store.close()
    rebuilt = run(state_dir, "rebuild")
    assert "6 observations learned (4 from the archive)" in rebuilt.stdout, rebuilt.output
    assert "a checkpoint is written" in rebuilt.stdout
    assert "6 observations learned from, those up to number 4 are in the archive alone" in run(state_dir, "show").stdout
    assert run(state_dir, "export", str(state_dir / "copy.jsonl")).exit_code == 0
    assert run(state_dir, "reset", "--yes").exit_code == 0
    assert run(state_dir, "import", str(state_dir / "copy.jsonl")).exit_code == 0
    assert "6 observations learned from\n" in run(state_dir, "show").stdout
