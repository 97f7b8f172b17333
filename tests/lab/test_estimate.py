"""The bill of each size: a sum of its lines, growing with the load, told in words and as JSON."""

from __future__ import annotations

import json
from datetime import date

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from router_backend.cli.estimate import estimate
from router_backend.lab.estimate.page import turning_point
from router_backend.lab.estimate.prices import CHECKED, PRICES
from router_backend.lab.estimate.sizes import SIZES, Load, bills, total

app = typer.Typer()
app.command()(estimate)
loads = st.builds(
    Load,
    requests_per_day=st.floats(0, 1e7),
    input_tokens=st.floats(0, 1e5),
    output_tokens=st.floats(0, 1e5),
    seconds=st.floats(0, 900),
    feedback=st.floats(0, 1),
    dear_share=st.floats(0, 1),
    batch_share=st.floats(0, 1),
    batch_price=st.floats(0, 1),
    spot=st.floats(0, 1),
)


@given(load=loads, more=st.floats(1, 3))
def test_more_requests_never_cost_less(load: Load, more: float) -> None:
    busier = Load(
        **{**{name: getattr(load, name) for name in load.__slots__}, "requests_per_day": load.requests_per_day * more}
    )
    for name in SIZES:
        lines = bills(load)[name]
        assert all(line.usd >= 0 for line in lines)
        assert total(bills(busier)[name]) >= total(lines) * (1 - 1e-9)


def test_the_small_size_costs_what_it_is_used_for() -> None:
    idle = total(bills(Load(0))["small"])
    assert idle < 10 < total(bills(Load(0))["medium"])
    lines = {line.what: line.usd for line in bills(Load(1000, seconds=4))["small"]}
    assert lines["Lambda"] == pytest.approx(1000 * 30.4 * (4 * 2 * 0.0000166667 + 0.2e-6))
    assert lines["models by tokens"] == pytest.approx(
        30400 * (0.7 * (800 * 0.035 + 300 * 0.14) + 0.3 * (800 * 0.8 + 300 * 3.2)) / 1e6
    )


def test_there_is_a_load_from_which_tasks_cost_less() -> None:
    turn = turning_point()
    assert total(bills(Load(turn - 1000))["medium"]) > total(bills(Load(turn - 1000))["small"])


def test_spot_takes_its_share_off_the_machines() -> None:
    full, spot = (
        next(line.usd for line in bills(Load(1, spot=share))["large"] if line.what == "GPU machines")
        for share in (0, 1)
    )
    assert spot == pytest.approx(full * 0.4)


def test_batches_have_their_price_where_there_are_batches() -> None:
    """Lambda has none; in the medium size they cost a private endpoint, and models of one's own have no price by tokens."""

    def tokens(size: str, **batches: float) -> float:
        return sum(line.usd for line in bills(Load(10_000, **batches))[size] if line.what == "models by tokens")

    assert tokens("medium", batch_share=0.4) == pytest.approx(tokens("medium") * 0.8)
    assert tokens("medium", batch_share=0.4, batch_price=0.25) == pytest.approx(tokens("medium") * 0.7)
    assert tokens("small", batch_share=0.4) == tokens("small")
    assert bills(Load(10_000, batch_share=0.4))["large"] == bills(Load(10_000))["large"]
    (before, after) = (
        next(line.usd for line in bills(Load(10_000, batch_share=share))["medium"] if line.what == "private endpoints")
        for share in (0.0, 0.4)
    )
    assert after == pytest.approx(before * 7 / 6)
    words = ["--requests-per-day", "10000", "--batch-share", "0.4", "--batch-price", "0.25"]
    told = CliRunner().invoke(app, words).output
    assert "40% in batches at 25% of the price" in told
    assert "Lambda has none" in told


@pytest.mark.parametrize("option", ["--batch-share", "--batch-price"])
def test_what_is_no_share_is_refused(option: str) -> None:
    for number in ("-0.1", "1.1"):
        assert CliRunner().invoke(app, [option, number]).exit_code == 2


def test_prices_say_when_and_where() -> None:
    date.fromisoformat(CHECKED)
    assert all(price.usd > 0 and price.page.startswith("https://aws.amazon.com/") for price in PRICES.values())


def test_the_command_tells_the_sums() -> None:
    words = ["--requests-per-day", "1000", "--expensive", "3,15", "--expensive-share", "0.2"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0
    plain = json.loads(CliRunner().invoke(app, [*words, "--format", "json"]).output)
    for name, bill in plain["sizes"].items():
        assert f"{name}: {bill['usd_per_month']:,.2f}" in done.output
        assert bill["usd_per_month"] == pytest.approx(sum(line["usd"] for line in bill["lines"]))
    assert plain["advice"]
    only = CliRunner().invoke(app, ["--size", "small"]).output
    assert "\nsmall: " in only
    assert "medium: " not in only


@pytest.mark.parametrize("words", [["--cheap", "1"], ["--cheap", "a,b"], ["--expensive", "-1,2"], ["--size", "huge"]])
def test_what_is_no_price_or_size_is_refused(words: list[str]) -> None:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1
    assert words[1] in str(done.exception)


@pytest.mark.parametrize("option", ["--requests-per-day", "--input-tokens", "--output-tokens", "--seconds"])
@pytest.mark.parametrize("number", ["inf", "1e308"])
def test_what_no_sum_can_be_made_of_is_refused(option: str, number: str) -> None:
    done = CliRunner().invoke(app, [option, number, "--format", "json"])
    assert done.exit_code == 1
    assert option in str(done.exception)
