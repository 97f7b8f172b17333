"""Which decisions go on as a cascade."""

from __future__ import annotations

import pytest

from router_backend.forwarding.cascade.choice import cascade_of
from tests.support.arms import model, router_config


@pytest.mark.parametrize(
    ("policy", "reason", "threshold"),
    [
        ("cascade", "policy:cascade", 0.7),
        ("test", "policy:cascade", 0.2),
        ("cascade", "explore", None),
        ("", "fallback:router", None),
        ("linucb", "policy:linucb", None),
    ],
)
def test_only_a_cascades_own_decisions_escalate(policy: str, reason: str, threshold: float | None) -> None:
    experiment = {"name": "test", "share": 0.5, "policy": {"name": "cascade", "cascade": {"threshold": 0.2}}}
    main = {"name": "cascade", "cascade": {"threshold": 0.7}}
    config = router_config([model("a", "http://127.0.0.1:9/v1")], policy=main, experiments=[experiment])
    rule = cascade_of(config, policy, reason)
    assert (rule and rule.threshold) == threshold
