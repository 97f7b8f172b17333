"""`replay`, `bootstrap` and `evaluate-policy` as a user runs them, on a small file."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import orjson
import pytest
import typer
from typer.testing import CliRunner

from router_backend.bandits.statistics.prior import Prior
from router_backend.cli import replay as commands
from router_backend.lab.replay.datasets import DatasetError
from router_backend.lab.replay.offpolicy import PropensityError
from tests.lab.replay.worlds import MODELS, make_world, write_csv

app = typer.Typer()
app.command()(commands.replay)
app.command()(commands.bootstrap)
app.command("evaluate-policy")(commands.evaluate_policy)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A replay that was run: its data, its report and its log."""
    place = tmp_path_factory.mktemp("replay")
    data, _ = make_world(rows=800)
    write_csv(data, place / "world.csv")
    settings = ["--policies", "linucb,linucb-noprior,ucb1", "--components", "32", "--seeds", "2", "--workers", "1"]
    run(
        "replay", str(place / "world.csv"), "--context", "tfidf", "--out", str(place / "out"),
        "--log", str(place / "log.jsonl"), *settings,
    )  # fmt: skip
    return place


def test_the_report_has_the_documented_keys_and_adds_up(folder: Path) -> None:
    report = json.loads((folder / "out" / "report.json").read_text())
    assert report["data"]["rows"] == 800
    assert report["data"]["models"] == list(MODELS)
    assert report["singles"].keys() == set(MODELS)
    assert {"random", "random_equal_cost", "task_lookup", "oracle"} <= report["baselines"].keys()
    assert [entry["lambda"] for entry in report["policies"]["linucb"]] == [0.1, 0.2, 0.3]
    assert max(single["above_hull"] for single in report["singles"].values()) == pytest.approx(0)
    for entry in report["policies"]["linucb"]:
        assert entry["largest_share"] == max(entry["shares"].values())
        assert entry["guarded"] == 0.0
        assert entry["shuffled"]["above_hull"] <= 1e-9
        assert entry["above_hull"] == pytest.approx(100 * (entry["quality"] - entry["hull_quality"]))
        low, high = entry["above_hull_ci95"]
        assert low <= entry["above_hull"] <= high
        assert entry["regret"] >= 0
        assert sum(entry["shares"].values()) == pytest.approx(1)
    assert report["policies"]["ucb1"][0]["components"] is None
    assert report["baselines"]["oracle"]["quality"] >= max(p["quality"] for p in report["singles"].values())
    assert report["scenarios"].keys() == {"drift", "new_model", "delayed_sparse", "poisoned"}
    assert report["apgr"] == {}


def test_the_report_can_be_read_and_seen(folder: Path) -> None:
    text = (folder / "out" / "report.md").read_text()
    assert "| linucb | 0.2 | 32 |" in text
    baselines = text.partition("## Single models and baselines\n")[2].partition("\n## ")[0]
    rows = [row for row in baselines.splitlines() if row.startswith("| ")][1:]
    assert [row for row in rows if "task lookup" in row and "λ 0.2" in row]
    assert len({row.split("|")[1] for row in rows}) == len(rows)
    assert sum("task lookup" in row for row in rows) == 3, "one row for each λ"
    for plot in ("plane.png", "learning.png"):
        assert f"]({plot})" in text
        assert (folder / "out" / plot).read_bytes().startswith(b"\x89PNG")


def test_two_models_get_apgr_and_cpt(folder: Path, tmp_path: Path) -> None:
    run(
        "replay", str(folder / "world.csv"), "--models", "small,large", "--context", "tfidf", "--out", str(tmp_path),
        "--policies", "linucb", "--lambdas", "0.2", "--components", "32", "--seeds", "1", "--scenarios", "none", "--workers", "1",
    )  # fmt: skip
    report = json.loads((tmp_path / "report.json").read_text())
    assert 0.5 < report["apgr"]["linucb"] <= 1
    assert 0 < report["cpt50"]["linucb"] < report["cpt80"]["linucb"] < 1
    assert {"linucb@task0", "task_lookup"} <= report["apgr"].keys()


def test_bootstrap_writes_a_prior_of_the_training_rows_under_the_arms_names(folder: Path) -> None:
    out = folder / "prior.npz"
    text = run(
        "bootstrap", str(folder / "world.csv"), "--context", "tfidf", "--out", str(out), "--rename", "small=llama3-8b"
    )
    prior = Prior.load(out)
    assert prior.arms == ("llama3-8b", "medium", "large")
    assert prior.precision[0, -1, -1] == 400
    assert "from 400 rows" in text


def test_bootstrap_refuses_data_without_training_rows(tmp_path: Path) -> None:
    path = write_csv(make_world(rows=50)[0], tmp_path / "w.csv", split=False)
    with pytest.raises(ValueError, match="no row has split == train"):
        run("bootstrap", str(path), "--context", "tfidf", "--out", str(tmp_path / "p.npz"))


def test_a_replayed_log_judges_another_policy_near_its_true_value(folder: Path) -> None:
    output = run("evaluate-policy", str(folder / "log.jsonl"), "--policy", "random", "--json")
    result = orjson.loads(output)
    assert (result["taught"], result["evaluated"]) == (160, 160)
    truth = make_world(rows=800)[0].quality.mean()
    for estimator in ("snips", "doubly_robust"):
        estimate = result["estimates"]["quality"][estimator]
        assert estimate["low"] - 0.05 <= truth <= estimate["high"] + 0.05
    assert sum(result["share"].values()) == pytest.approx(1)


def test_a_table_is_printed_for_people(folder: Path) -> None:
    output = run("evaluate-policy", str(folder / "log.jsonl"), "--policy", "ucb1", "--lambda", "0.1")
    assert "doubly_robust" in output
    assert "effective sample" in output


@pytest.mark.parametrize("propensity", [None, 0.0, 1.2])
def test_a_log_without_valid_propensities_is_refused_in_a_sentence(
    folder: Path, tmp_path: Path, propensity: float | None
) -> None:
    rows = [orjson.loads(line) for line in (folder / "log.jsonl").read_bytes().splitlines()]
    rows[5]["propensity"] = propensity
    spoilt = tmp_path / "spoilt.jsonl"
    spoilt.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    with pytest.raises(PropensityError, match="1 of 320 decisions have no propensity in"):
        run("evaluate-policy", str(spoilt), "--policy", "ucb1")


def test_rows_that_no_policy_chose_are_left_out_and_counted(folder: Path, tmp_path: Path) -> None:
    rows = [orjson.loads(line) for line in (folder / "log.jsonl").read_bytes().splitlines()]
    rows[0] |= {"kind": "named", "propensity": None}
    rows[1] |= {"score": None}
    rows[2] |= {"served": "another"}
    mixed = tmp_path / "mixed.jsonl.gz"
    mixed.write_bytes(gzip.compress(b"\n".join(map(orjson.dumps, rows))))
    result = CliRunner().invoke(app, ["evaluate-policy", str(mixed), "--policy", "ucb1"], catch_exceptions=False)
    assert "left out: 1 named (no policy chose)" in result.output
    assert "left out: 1 without a score" in result.output
    assert "left out: 1 answered by another model than the chosen one" in result.output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": 7}, "score is 7, outside 0..1"),
        ({"score": "good"}, "score is 'good', which is no number"),
        ({"cost": -1}, "cost is -1, below 0"),
        ({"cost": True}, "cost is True, which is no number"),
        ({"propensity": 1e-300}, "propensity is 1e-300"),
    ],
)
def test_an_impossible_number_in_a_log_is_named_with_its_line(
    folder: Path, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    rows = [orjson.loads(line) for line in (folder / "log.jsonl").read_bytes().splitlines()]
    rows[5] |= change
    spoilt = tmp_path / "spoilt.jsonl"
    spoilt.write_bytes(b"\xef\xbb\xbf" + b"\n".join(map(orjson.dumps, rows)))
    with pytest.raises(PropensityError, match=rf"spoilt\.jsonl:6: {message}"):
        run("evaluate-policy", str(spoilt), "--policy", "ucb1")


def test_a_log_of_other_models_than_the_configured_ones_names_both(folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "router.yaml"
    config.write_text(
        "version: 1\ndefault_model: mine\nmodels:\n  - {name: mine, upstream: {kind: local}, price: {input: 1, output: 1}, context_window: 8192}\n"
    )
    with pytest.raises(PropensityError, match=r"log\.jsonl: none of the models that it chose \(large, medium, small\)"):
        run("evaluate-policy", str(folder / "log.jsonl"), "--config", str(config))


def test_garbage_is_no_log(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}\n')
    with pytest.raises(PropensityError, match=r"x\.jsonl:1: not a Decision"):
        run("evaluate-policy", str(path))


def test_an_unknown_model_is_named(folder: Path) -> None:
    with pytest.raises(DatasetError, match="no scores and costs of 'gpt-9'"):
        run("replay", str(folder / "world.csv"), "--models", "small,gpt-9")


def test_without_a_terminal_each_tenth_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with commands.progress_bar() as bar:
        task = bar.add_task("encoding", total=200)
        for done in range(1, 101):
            bar.update(task, completed=done)
        bar.advance(task, 100)
    told = [line for line in capsys.readouterr().err.splitlines() if " of " in line]
    assert told == [f"encoding: {done} of 200" for done in (20, 40, 60, 80, 100, 200)]
