from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner

from classifier_training import commands
from classifier_training.data import DataError
from classifier_training.evaluation.feedback_log import evaluate_log
from classifier_training.evaluation.leave_out import groups
from classifier_training.evaluation.scores import accuracy_by_coverage
from router_backend.contract import CARD_FILE, TASKS

app = Typer()
app.command()(commands.train)
app.command()(commands.evaluate)
app.command()(commands.promote)


def test_json_stands_alone_on_standard_output_with_the_promised_keys(
    artifact: Path, prompts_file: Path, routing_file: Path, tmp_path: Path
) -> None:
    call = ["evaluate", str(prompts_file), "--artifact", str(artifact), "--json", "--out", str(tmp_path)]
    result = CliRunner().invoke(app, [*call, "--routing", str(routing_file)], catch_exceptions=False)
    report = json.loads(result.stdout)
    task_keys = {
        "accuracy",
        "macro_f1",
        "by_source",
        "by_language",
        "labels",
        "confusion",
        "ece",
        "accuracy_by_coverage",
    }
    assert set(report["task"]) == task_keys
    assert set(report["stability"]) == {"unchanged", "always", "cosine", "by_perturbation"}
    assert report["task"]["labels"] == list(TASKS)
    assert sum(map(sum, report["task"]["confusion"])) == 300
    assert set(report["task"]["by_source"]) == {"source0", "source1"}
    assert set(report["task"]["by_language"]) == {"en", "ja"}
    assert {"spearman", "mae"} <= set(report["complexity"])
    assert report["rows"] == {"task": 300, "complexity": 320}
    assert {"p50", "p95", "tokens"} <= set(report["latency_ms"])
    assert abs(report["float32"]["accuracy_lost_by_int8"]) < 0.05
    for name in ("confusion.png", "reliability.png", "complexity.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "report.json").read_text()) == report


def test_rows_of_equal_confidence_count_alike_in_whatever_order_they_stand() -> None:
    confidence = np.array([0.9, 0.5, 0.5, 0.5, 0.5, 0.1], np.float32)
    correct = np.array([True, True, True, False, False, False])
    forward, backward = (accuracy_by_coverage(confidence[::step], correct[::step]) for step in (1, -1))
    assert forward == pytest.approx(backward)
    assert forward["0.5"] == pytest.approx(2 / 3)  # the surest row, and two of four at a half each


def test_a_source_left_out_is_measured_by_a_model_that_never_saw_it(
    artifact: Path, prompts_file: Path, encoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("classifier_training.evaluation.run.own_corpus", lambda: [str(prompts_file)])
    call = ["evaluate", str(prompts_file), "--artifact", str(artifact), "--json", "--train-data", str(prompts_file)]
    result = CliRunner().invoke(app, [*call, "--encoder", str(encoder_folder)], catch_exceptions=False)
    left = json.loads(result.stdout)["leave_one_source_out"]
    assert set(left["by_source"]) == {"source0", "source1"}
    assert left["rows"] == {"source0": 156, "source1": 144}
    assert set(left["complexity_spearman"]) == {"source0", "source1"}


def test_the_first_sources_head_a_group_each() -> None:
    assert groups(["a", "b", "c", "d", "e", "f"], 3) == [["a"], ["b", "d", "f"], ["c", "e"]]
    assert groups(["a", "b"], 0) == [["a"], ["b"]]


def test_figures_go_into_the_card_again_and_again(artifact: Path, prompts_file: Path) -> None:
    call = ["evaluate", str(prompts_file), "--artifact", str(artifact), "--card"]
    for _ in range(2):
        assert CliRunner().invoke(app, call, catch_exceptions=False).exit_code == 0
    card = (artifact / CARD_FILE).read_text(encoding="utf-8")
    assert card.count("| task accuracy |") == 1
    assert "## Manifest" in card


def test_labelled_decisions_are_measured(tmp_path: Path) -> None:
    uniform = [1 / 12] * 12
    rows: list[dict[str, object]] = [
        {"task": "math", "task_label": "math", "task_probabilities": [*uniform[:6], 0.9, *uniform[:5]]},
        {"task": "math", "task_label": "chatbot"},
        {"task": "open_qa", "task_probabilities": uniform},
    ]
    log = tmp_path / "log.jsonl"
    log.write_text("\n".join(map(json.dumps, rows)))
    report = evaluate_log(log)
    assert report["rows"] == {"decisions": 3, "labelled": 2}
    assert report["task"]["accuracy"] == 0.5  # type: ignore[index]
    assert report["drift"]["task_shares"] == {"math": 2 / 3, "open_qa": 1 / 3}  # type: ignore[index]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1: no JSON"),
        ('{"task": "poetry"}', "task 'poetry' is unknown"),
        ('{"task": "math"}', "none of 1 decisions"),
        ('{"task_label": "math"}', "without a prediction"),
        ('{"task_label": "math", "task_probabilities": [1]}', "has 1 numbers instead of 12"),
    ],
)
def test_bad_logs_are_named_with_their_line(tmp_path: Path, line: str, message: str) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text(line + "\n")
    with pytest.raises(DataError, match=message):
        evaluate_log(log)


@pytest.mark.parametrize("tolerance", ["nan", "inf", "2"])
def test_a_tolerance_that_lets_everything_through_is_refused(tolerance: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["promote", str(tmp_path), "--tolerance", tolerance])
    assert result.exit_code == 2
    assert "--tolerance" in result.output
