"""`llm-router report`: what it sums, and that its three forms say the same."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from router_backend.archive.archiver import Archiver
from router_backend.archive.place import open_place
from router_backend.archive.reading import tables
from router_backend.archive.schema import TABLES
from router_backend.config import load_config
from router_backend.core.records import Decision, Feedback, Outcome, Usage
from router_backend.observability import rendering
from router_backend.observability.archived import build_archived
from router_backend.observability.report import NO_KEY, NO_TASK, NO_TEAM, Report, build, moment, seconds
from router_backend.state.open import open_store
from tests.support.configs import local_config
from tests.support.running import clean_environment, llm_router

DAY = 86_400.0
NOW = 1_760_000_000.0


def answer(
    number: int, served: str, *, at: float = NOW - 60, task: str = "math", key: str = "", status: int = 200
) -> tuple[Decision, Outcome]:
    """A decision and its outcome: 1,000 tokens in, 1,000 out, at the model's price."""
    prices = {"nemotron-49b": 0.53, "llama3-70b": 1.38, "llama3-8b": 0.09}
    identity = f"0199c000-0000-7000-8000-{number:012d}"
    decision = Decision(
        decision_id=identity,
        created=at - 1,
        kind="routed" if task else "named",
        model=served,
        reason="policy:linucb",
        task=task,
    )
    outcome = Outcome(
        decision_id=identity,
        completed=at,
        served=served,
        status=status,
        usage=Usage(prompt=1000, completion=1000),
        usage_known=True,
        cost=prices[served] / 1000,
        latency=0.5,
        key=key,
    )
    return decision, outcome


@pytest.fixture(params=["store", "archive"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Report:
    config = load_config(local_config(tmp_path))
    store = open_store(config.state, tmp_path)
    rows = [
        answer(1, "llama3-8b", key="app"),
        answer(2, "llama3-70b", key="app", task="summarization"),
        answer(3, "llama3-8b", task=""),
        answer(4, "nemotron-49b", status=502),
        answer(5, "llama3-70b", at=NOW - 2 * DAY),  # before the time asked for
    ]
    store.append([decision for decision, _ in rows], [outcome for _, outcome in rows])
    store.append([answer(6, "llama3-8b")[0]], [])  # not answered
    store.add_feedback(Feedback(decision_id=rows[0][0].decision_id, received=NOW, score=0.75))
    if request.param == "archive":
        place = open_place("archive", tmp_path)
        Archiver(store, place).drain()
        for file in [file for table in TABLES for file in place.files(table)]:  # all of it twice
            shutil.copy(file, file.replace(".parquet", "-again.parquet"))
        with tables(place) as opened:
            report = build_archived(opened, config, NOW - DAY, NOW)
    else:
        report = build(store.archive().records(), config, NOW - DAY, NOW)
    store.close()
    return report


def test_cost_and_savings_are_summed_by_model_task_and_key(made: Report) -> None:
    assert made.total.requests == 4
    assert made.total.failed == 1
    assert made.unanswered == 1
    assert made.total.cost == pytest.approx((0.09 + 1.38 + 0.09 + 0.53) / 1000)
    # Against the costliest model, 70B, for the same tokens.
    assert made.total.savings == pytest.approx(4 * 1.38 / 1000 - made.total.cost)
    assert made.by_model["llama3-70b"].savings == pytest.approx(0)
    assert {name: sums.requests for name, sums in made.by_task.items()} == {"math": 2, "summarization": 1, NO_TASK: 1}
    assert {name: sums.requests for name, sums in made.by_key.items()} == {"app": 2, NO_KEY: 2}
    assert made.by_model["llama3-8b"].mean_score == 0.75
    assert sum(part["cost"] for part in made.course) == pytest.approx(made.total.cost)


@pytest.mark.parametrize("archived", [False, True])
def test_what_prompt_caches_save_is_told(tmp_path: Path, archived: bool) -> None:
    """At the price of the model that answered; a model without a price of its own for cached tokens saves nothing."""
    config = load_config(local_config(tmp_path))
    models = [
        model.model_copy(update={"price": model.price.model_copy(update={"cached_input": 0.09, "cache_write": 0.79})})
        if model.name == "llama3-70b"
        else model
        for model in config.models
    ]
    config = config.model_copy(update={"models": models})
    rows = [answer(1, "llama3-70b"), answer(2, "llama3-8b")]
    usage = Usage(prompt=1000, completion=1000, cached=800, cache_write=100)
    outcomes = [replace(outcome, usage=usage) for _, outcome in rows]
    store = open_store(config.state, tmp_path)
    store.append([decision for decision, _ in rows], outcomes)
    if archived:
        place = open_place("archive", tmp_path)
        Archiver(store, place).drain()
        with tables(place) as opened:
            report = build_archived(opened, config, NOW - DAY, NOW)
    else:
        report = build(store.archive().records(), config, NOW - DAY, NOW)
    store.close()
    assert report.total.cached_tokens == 1600
    assert report.total.cache_savings == pytest.approx(800 * 0.5e-6 - 100 * 0.2e-6)
    assert report.by_model["llama3-8b"].cache_savings == 0
    assert "prompt caches held 80% of the prompts, and saved $0.000380" in rendering.text(report)


@pytest.mark.parametrize("archived", [False, True])
def test_a_batch_apis_discount_is_no_saving_of_routing(tmp_path: Path, archived: bool) -> None:
    """Half the bill is a line of its own: what routing saves, and whether it pays, are as without it."""
    config = load_config(local_config(tmp_path))
    whole, half = [], []
    for decision, outcome in [answer(1, "llama3-70b"), answer(2, "llama3-8b")]:
        assert outcome.cost
        whole.append((decision, outcome))
        half.append((decision, replace(outcome, cost=outcome.cost / 2, batch_discount=outcome.cost / 2)))
    reports = []
    for name, rows in (("whole", whole), ("half", half)):
        store = open_store(f"sqlite:///{name}.db", tmp_path)
        store.append([decision for decision, _ in rows], [outcome for _, outcome in rows])
        if archived:
            place = open_place(name, tmp_path)
            Archiver(store, place).drain()
            with tables(place) as opened:
                reports.append(build_archived(opened, config, NOW - DAY, NOW))
        else:
            reports.append(build(store.archive().records(), config, NOW - DAY, NOW))
        store.close()
    ordinary, batched = reports
    assert batched.total.cost == pytest.approx(ordinary.total.cost / 2)
    assert batched.total.savings == pytest.approx(ordinary.total.savings)
    assert batched.total.batch_savings == pytest.approx(ordinary.total.cost / 2)
    assert ordinary.total.batch_savings == 0
    assert batched.payoff.sentence() == ordinary.payoff.sentence()
    assert "batch prices took off another $" in rendering.text(batched)
    assert "batch prices" not in rendering.text(ordinary)


def test_whether_it_pays_is_said_first(tmp_path: Path) -> None:
    """In the same words from the store and from the archive."""
    config = load_config(local_config(tmp_path))
    store = open_store(config.state, tmp_path)
    for number in range(300):
        served = config.names[number % 3]
        decision, outcome = answer(number, served)
        chosen = replace(
            decision, propensity=(0.2, 0.3, 0.5)[number % 3], model=config.names[0] if number % 20 == 7 else served
        )
        store.append([chosen], [replace(outcome, usage_known=number % 7 > 0, status=502 if number % 11 == 0 else 200)])
        if number % 5:
            store.add_feedback(
                Feedback(
                    decision_id=decision.decision_id, received=NOW, score=number % 4 / 3, selected=0.5 + number % 2 / 2
                )
            )
    place = open_place("archive", tmp_path)
    Archiver(store, place).drain()
    with tables(place) as opened:
        archived = build_archived(opened, config, NOW - DAY, NOW)
    told = build(store.archive().records(), config, NOW - DAY, NOW)
    store.close()
    first = rendering.text(archived).splitlines()[2]
    assert first == rendering.text(told).splitlines()[2]
    assert re.match(r"Routing answers with a quality of [\d.]+% \(.*\) for [\d.]+% \(.*\) of the cost of ", first)
    assert archived.plain()["headline"] == first
    assert archived.payoff.routed.pairs == told.payoff.routed.pairs > 0


def test_keys_of_a_team_are_summed_together(made: Report, tmp_path: Path) -> None:
    assert made.by_team == {}  # no key has a group
    security = {"groups": [{"name": "search"}], "api_keys": [{"name": "app", "sha256": "0" * 64, "group": "search"}]}
    config = load_config(local_config(tmp_path, security=security))
    rows = [answer(1, "llama3-8b", key="app"), answer(2, "llama3-70b", key="app"), answer(3, "llama3-8b", key="other")]
    report = build([record for pair in rows for record in pair], config, NOW - DAY, NOW)
    assert {team: sums.requests for team, sums in report.by_team.items()} == {"search": 2, NO_TEAM: 1}
    assert re.search(r"^team .*\n^search +2 ", rendering.text(report), re.MULTILINE)


def test_models_of_another_configuration_are_named(tmp_path: Path) -> None:
    decision, outcome = answer(1, "llama3-8b")
    report = build([decision, replace(outcome, served="mine")], load_config(local_config(tmp_path)), NOW - DAY, NOW)
    assert "nothing is known to be saved: mine (name its file with --config)" in rendering.text(report)


def test_clients_that_left_are_no_failures(tmp_path: Path) -> None:
    report = build(answer(1, "llama3-8b", status=499), load_config(local_config(tmp_path)), NOW - DAY, NOW)
    assert (report.total.failed, report.total.clients_left) == (0, 1)
    assert "0 failed, 1 left by the client" in rendering.text(report)


def test_a_table_for_spreadsheets(made: Report) -> None:
    rows = list(csv.DictReader(rendering.table(made).splitlines()))
    assert [(row["by"], row["name"]) for row in rows[:2]] == [("all", ""), ("model", "llama3-70b")]
    by_model = [row for row in rows if row["by"] == "model"]
    assert sum(float(row["cost"]) for row in by_model) == pytest.approx(float(rows[0]["cost"]))


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1d", NOW - DAY),
        ("99999999999w", 0.0),
        ("2025-10-09", 1_759_968_000.0),
        ("2025-10-09T08:00", 1_759_996_800.0),
        ("2025-10-09T10:00+02:00", 1_759_996_800.0),
    ],
)
def test_a_time_is_told_by_how_long_ago_it_was_or_by_its_date(text: str, at: float) -> None:
    assert moment(text, NOW) == at


def test_every_form_says_the_same(made: Report) -> None:
    plain = json.loads(json.dumps(made.plain()))
    assert plain["total"]["requests"] == 4
    text, page = rendering.text(made), rendering.page(made)
    cost = "$0.00209"
    assert cost in text
    assert cost in page
    for name in (*made.by_model, *made.by_task, *made.by_key):
        assert name in text
        assert name in page


@pytest.mark.parametrize(
    ("usd", "shown"),
    [(0.0, "0.0000"), (13.5, "13.5000"), (0.0912, "0.0912"), (1.23456e-5, "0.0000123"), (-4e-7, "-0.000000400")],
)
def test_small_costs_are_told_by_their_digits(usd: float, shown: str) -> None:
    report = Report(0.0, DAY, latency={"p50": 1.0, "p95": 1.0})
    report.total.requests, report.total.cost = 1, usd
    assert f"for ${shown}, $0.0000 saved" in rendering.text(report)


def test_the_page_holds_its_plots_and_fetches_nothing(made: Report) -> None:
    page = rendering.page(made)
    plots = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(plots) == 4
    bars = [rect for plot in plots for rect in ElementTree.fromstring(plot).iter("rect")]
    assert any(float(bar.attrib["width"]) > 100 for bar in bars)
    assert not re.search(r"<script|https?://|src=", page)


def test_the_chart_over_time_says_when_it_begins_and_ends(made: Report) -> None:
    plot = re.findall(r'<svg[^>]*aria-label="cost and savings over time".*?</svg>', rendering.page(made), re.DOTALL)[0]
    picture = ElementTree.fromstring(plot)
    width, height = (float(each) for each in picture.attrib["viewBox"].split()[2:])
    texts = list(picture.iter("text"))
    assert [text.text for text in texts] == [
        time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(NOW - DAY + share * DAY)) for share in (0.0, 0.5, 1.0)
    ]
    assert [(float(text.attrib["x"]), text.attrib["text-anchor"]) for text in texts] == [
        (0.0, "start"),
        (width / 2, "middle"),
        (width, "end"),
    ]
    # Below the bars, and within the picture.
    lowest = max(float(bar.attrib["y"]) + float(bar.attrib["height"]) for bar in picture.iter("rect"))
    assert all(lowest < float(text.attrib["y"]) - float(text.attrib["font-size"]) + 4 for text in texts)
    assert all(float(text.attrib["y"]) <= height for text in texts)


def test_names_in_the_page_are_escaped(tmp_path: Path) -> None:
    config = load_config(local_config(tmp_path))
    decision, outcome = answer(1, "llama3-8b", key="<b>&")
    page = rendering.page(build([decision, outcome], config, NOW - DAY, NOW))
    assert "<b>" not in page
    assert "&lt;b&gt;&amp;" in page


@pytest.mark.parametrize(("span", "wanted"), [("30m", 1800), ("12h", 43_200), ("1d", DAY), ("2w", 14 * DAY)])
def test_spans(span: str, wanted: float) -> None:
    assert seconds(span) == wanted


@pytest.mark.parametrize("span", ["", "1", "d", "-1d", "0h", "1y"])
def test_a_span_that_is_none_says_what_to_write(span: str) -> None:
    with pytest.raises(ValueError, match="such as 1d"):
        seconds(span)


def test_the_command_on_an_empty_store(tmp_path: Path) -> None:
    command = [*llm_router(), "report", "--config", str(local_config(tmp_path)), "--state-dir", str(tmp_path)]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "No answers in this time." in done.stdout
