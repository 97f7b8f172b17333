"""`llm-router estimate`: what each size on AWS costs a month."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from router_backend.cli.main import UserError

_MOST = 1e12  # of anything that is counted: beyond it sums end in infinities


class Format(StrEnum):
    text = "text"
    json = "json"


def estimate(
    requests_per_day: Annotated[float, typer.Option(help="Requests a day, the mean of a month.", min=0)] = 1000.0,
    input_tokens: Annotated[float, typer.Option(help="Tokens of a prompt, history included.", min=0)] = 800.0,
    output_tokens: Annotated[float, typer.Option(help="Tokens of an answer.", min=0)] = 300.0,
    seconds: Annotated[float, typer.Option(help="Until an answer has ended.", min=0)] = 4.0,
    feedback: Annotated[float, typer.Option(help="Scores per request.", min=0, max=1)] = 0.05,
    cheap: Annotated[str, typer.Option(help="IN,OUT of the cheap model, USD per million tokens.")] = "0.035,0.14",
    expensive: Annotated[str, typer.Option(help="IN,OUT of the expensive model.")] = "0.80,3.20",
    expensive_share: Annotated[float, typer.Option(help="Of the requests.", min=0, max=1)] = 0.3,
    batch_share: Annotated[float, typer.Option(help="Of the requests, in batches.", min=0, max=1)] = 0.0,
    batch_price: Annotated[
        float, typer.Option(help="Of the models' token price: `batch.price_share` in router.yaml.", min=0, max=1)
    ] = 0.5,
    spot: Annotated[float, typer.Option(help="Share of GPU hours on Spot, in the large size.", min=0, max=1)] = 0.0,
    size: Annotated[str, typer.Option(help="small, medium or large; each without.")] = "",
    form: Annotated[Format, typer.Option("--format", help="Of the output.")] = Format.text,
) -> None:
    """What the three sizes on AWS cost a month, by list prices (docs/aws-costs.md).

    Example: llm-router estimate --requests-per-day 1000 --expensive 3,15 --expensive-share 0.2
    """
    from router_backend.lab.estimate.prices import CHECKED, REGION
    from router_backend.lab.estimate.sizes import SIZES, Load, advice, bills, total

    if size and size not in SIZES:
        raise UserError(f"--size {size}: there are {', '.join(SIZES)}")
    for name, number in (
        ("--requests-per-day", requests_per_day),
        ("--input-tokens", input_tokens),
        ("--output-tokens", output_tokens),
        ("--seconds", seconds),
    ):
        if not number <= _MOST:
            raise UserError(f"{name} {number:g}: give at most {_MOST:g}")
    load = Load(
        requests_per_day=requests_per_day,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        seconds=seconds,
        feedback=feedback,
        cheap=_prices("--cheap", cheap),
        dear=_prices("--expensive", expensive),
        dear_share=expensive_share,
        batch_share=batch_share,
        batch_price=batch_price,
        spot=spot,
    )
    made = {name: lines for name, lines in bills(load).items() if size in ("", name)}
    if form is Format.json:
        plain = {
            name: {"usd_per_month": total(lines), "lines": [asdict(line) for line in lines]}
            for name, lines in made.items()
        }
        typer.echo(json.dumps({"checked": CHECKED, "region": REGION, "sizes": plain, "advice": advice(load)}, indent=2))
        return
    typer.echo(f"{requests_per_day:,.0f} requests a day; list prices of {REGION}, {CHECKED}; USD a month")
    for name, lines in made.items():
        typer.echo(f"\n{name}: {total(lines):,.2f}")
        for line in lines:
            typer.echo(f"  {line.usd:12,.2f}  {line.what:28} {line.how}".rstrip())
    typer.echo()
    for sentence in advice(load):
        typer.echo(f"- {sentence}")


def _prices(option: str, text: str) -> tuple[float, float]:
    try:
        given, back = map(float, text.split(","))
    except ValueError:
        raise UserError(f"{option} {text}: two prices are needed, such as 0.07,0.30") from None
    if not (0 <= given < 1e6 and 0 <= back < 1e6):
        raise UserError(f"{option} {text}: prices are 0 or more, in USD per million tokens")
    return given, back
