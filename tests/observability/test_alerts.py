"""Each alert fires when it should and is silent when it should be, by promtool's own unit tests."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from router_backend.observability.alerts import ALERTS
from tests.support.helm import PROJECT
from tests.support.programs import system_program

RULES = PROJECT / "helm/llm-router/rules.yaml"


@dataclass(frozen=True)
class Case:
    """Series as promtool writes them (one sample a minute), and the labels of the alerts that fire at `at`."""

    alert: str
    series: dict[str, str]
    at: str
    fires: list[dict[str, str]]


def labels(right: int, wrong: int) -> dict[str, str]:
    name = "llm_router_task_labels_total"
    return {
        f'{name}{{predicted="math",actual="math",correct="true"}}': f"0+{right}x120",
        f'{name}{{predicted="math",actual="other",correct="false"}}': f"0+{wrong}x120",
    }


def shares(dear: int, cheap: int) -> dict[str, str]:
    series = {}
    for model, requests, usd in (("large", dear, 0.001), ("small", cheap, 0.0001)):
        series[f'llm_router_requests_total{{model="{model}",status="200"}}'] = f"0+{requests}x120"
        series[f'llm_router_tokens_total{{model="{model}",kind="completion"}}'] = f"0+{requests * 100}x120"
        series[f'llm_router_cost_usd_total{{model="{model}"}}'] = f"0+{requests * 100 * usd}x120"
    return series


def decisions(fast: int, slow: int) -> dict[str, str]:
    name = "llm_router_decision_seconds_bucket"
    return {
        f'{name}{{le="0.01"}}': f"0+{fast}x60",
        f'{name}{{le="0.05"}}': f"0+{fast}x60",
        f'{name}{{le="0.1"}}': f"0+{fast + slow}x60",
        f'{name}{{le="+Inf"}}': f"0+{fast + slow}x60",
    }


def easy(all_easy: int, costliest: int) -> dict[str, str]:
    return {
        "llm_router_easy_decisions_total": f"0+{all_easy}x120",
        'llm_router_over_routed_total{model="large"}': f"0+{costliest}x120",
    }


# A day at a cent a minute, then two hours at a tenth of a dollar.
_DAY = "0+0.01x1500 15.1+0.1x200"
_EVEN = "0+0.01x1800"
# The clock of promtool starts at 0: a store that answered at each minute, and one that stopped answering.
_FRESH, _STALE = "0+60x60", "0+60x10 600x50"

CASES = [
    Case("RoutingAccuracyLow", labels(6, 4), "2h", [{}]),
    Case("RoutingAccuracyLow", labels(8, 2), "2h", []),
    Case("ExpensiveModelShareHigh", shares(6, 4), "2h", [{}]),
    Case("ExpensiveModelShareHigh", shares(3, 7), "2h", []),
    Case("DecisionSlow", decisions(95, 5), "1h", [{}]),
    Case("DecisionSlow", decisions(999, 1), "1h", []),
    Case(
        "TokenBudgetExceeded",
        {'llm_router_tokens_total{model="large",kind="prompt"}': "0+50000x1500"},
        "25h",
        [{"model": "large"}],
    ),
    Case("TokenBudgetExceeded", {'llm_router_tokens_total{model="large",kind="prompt"}': "0+20000x1500"}, "25h", []),
    Case(
        "TokenBudgetExceeded",  # cached is part of prompt: it isn't counted twice
        {
            'llm_router_tokens_total{model="large",kind="prompt"}': "0+20000x1500",
            'llm_router_tokens_total{model="large",kind="cached"}': "0+20000x1500",
        },
        "25h",
        [],
    ),
    Case("CostAnomaly", {'llm_router_cost_usd_total{model="large"}': _DAY}, "27h", [{"model": "large"}]),
    Case("CostAnomaly", {'llm_router_cost_usd_total{model="large"}': _EVEN}, "27h", []),
    Case("OverRouting", easy(10, 5), "2h", [{}]),
    Case("OverRouting", easy(10, 1), "2h", []),
    Case(
        "UpstreamDown",
        {
            'llm_router_upstream_state{model="large",state="open",instance="a"}': "1x20",
            'llm_router_upstream_state{model="small",state="open",instance="a"}': "0x20",
            'llm_router_upstream_state{model="small",state="closed",instance="a"}': "1x20",
        },
        "10m",
        [{"model": "large"}],
    ),
    Case("UpstreamDown", {'llm_router_upstream_state{model="large",state="half_open"}': "1x20"}, "10m", []),
    Case("NoFeedback", {'llm_router_decisions_total{model="a"}': "0+1x600"}, "9h", [{}]),
    Case(
        "NoFeedback",
        {
            'llm_router_decisions_total{model="a"}': "0+1x600",
            'llm_router_feedback_total{model="a",task="math",result="accepted"}': "0+0.1x600",
        },
        "9h",
        [],
    ),
    Case(
        "NoFeedback",
        {
            'llm_router_decisions_total{model="a"}': "0+1x600",
            'llm_router_feedback_total{model="none",task="none",result="not_found"}': "0+1x600",
        },
        "9h",
        [{}],
    ),
    Case("StateStoreLag", {"llm_router_state_store_seconds": _STALE}, "20m", [{}]),
    Case("StateStoreLag", {"llm_router_state_store_seconds": _FRESH}, "20m", []),
    Case("StateStoreLag", {"llm_router_reports_waiting": "5000x60"}, "20m", [{}]),
    Case("ArchiveBehind", {"llm_router_archive_behind_seconds": "7200x60"}, "30m", [{}]),
    Case("ArchiveBehind", {"llm_router_archive_behind_seconds": "600x60"}, "30m", []),
    Case("StateStoreRefuses", {"llm_router_state_store_writable": "0x60"}, "20m", [{}]),
    Case("StateStoreRefuses", {"llm_router_state_store_writable": "1x60"}, "20m", []),
    Case(
        "RoutingFallsBack",
        _falls := {
            'llm_router_routing_fallbacks_total{cause="timeout"}': "0+1x60",
            'llm_router_requests_total{model="a"}': "0+10x60",
        },
        "1h",
        [{}],
    ),
    Case("RoutingFallsBack", {**_falls, 'llm_router_requests_total{model="a"}': "0+100x60"}, "1h", []),
]


@pytest.mark.system
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert} {'fires' if case.fires else 'is silent'}")
def test_alert(case: Case, tmp_path: Path) -> None:
    rule = next(alert for alert in ALERTS if alert.name == case.alert)
    # The texts name the value, which is another in each case: what fires is compared, without them.
    rules = yaml.safe_load(RULES.read_text())
    for group in rules["groups"]:
        for entry in group["rules"]:
            entry.pop("annotations", None)
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules))
    expected = [{"exp_labels": {"severity": rule.severity, **fired}} for fired in case.fires]
    test: dict[str, Any] = {
        "interval": "1m",
        "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
        "alert_rule_test": [{"eval_time": case.at, "alertname": case.alert, "exp_alerts": expected}],
    }
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]}))
    done = subprocess.run(
        [system_program("promtool"), "test", "rules", file], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_seen_firing_and_silent() -> None:
    for wanted in (True, False):
        assert {case.alert for case in CASES if bool(case.fires) is wanted} == {alert.name for alert in ALERTS}


@pytest.mark.system
def test_promtool_takes_the_rules() -> None:
    done = subprocess.run(
        [system_program("promtool"), "check", "rules", RULES], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
