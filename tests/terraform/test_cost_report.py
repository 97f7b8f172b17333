"""The daily cost report: its expressions, evaluated as Step Functions would."""

from __future__ import annotations

import json
from typing import Any

import jsonata
import pytest

from tests.support.helm import PROJECT

MACHINE = json.loads((PROJECT / "deploy/terraform/modules/budget/report.asl.json").read_text())["States"]


def evaluated(expression: str, **states: Any) -> Any:
    """`{% … %}`, with what `$states` holds."""
    assert expression.startswith("{% ")
    assert expression.endswith(" %}")
    compiled = jsonata.Jsonata(expression[3:-3])
    frame = compiled.create_frame()
    frame.bind("states", states)
    return compiled.evaluate(None, frame)


def result(costs: dict[str, str]) -> dict[str, Any]:
    """As Cost Explorer answers."""
    groups = [
        {"Keys": [name], "Metrics": {"UnblendedCost": {"Amount": usd, "Unit": "USD"}}} for name, usd in costs.items()
    ]
    return {"ResultsByTime": [{"TimePeriod": {"Start": "2026-11-28", "End": "2026-11-29"}, "Groups": groups}]}


@pytest.mark.parametrize(
    ("costs", "subject", "message"),
    [
        ({"AWS Lambda": "1.234", "Amazon Bedrock": "20.5"}, "21.73", "20.50 USD  Amazon Bedrock\n1.23 USD  AWS Lambda"),
        ({"AWS Lambda": "1.234"}, "1.23", "1.23 USD  AWS Lambda"),
        ({}, "0.00", "Nothing was billed to this tag."),
    ],
)
def test_a_day_is_told_by_service(costs: dict[str, str], subject: str, message: str) -> None:
    told = evaluated(MACHINE["Ask"]["Output"], result=result(costs))
    mail = MACHINE["Tell"]["Arguments"]
    assert evaluated(mail["Subject"], input=told) == "${name}: " + subject + " USD on 2026-11-28"
    assert evaluated(mail["Message"], input=told) == message


def test_the_day_before_is_asked_for() -> None:
    period = MACHINE["Ask"]["Arguments"]["TimePeriod"]
    start, end = evaluated(period["Start"]), evaluated(period["End"])
    assert start < end
    assert len(start) == len("2026-11-28")
