"""Own GPUs cost by how busy they are."""

from __future__ import annotations

import numpy as np
import pytest

from router_backend.config import ConfigError, parse_config
from router_backend.contract import EMBEDDING_DIM, TASKS
from router_backend.core.decision import RoutedDecision
from router_backend.learning.fold import Fold
from router_backend.prompts.hints import RoutingHints
from router_backend.routing.router import Classified, Router
from router_backend.routing.view import View

CONFIG = """\
version: 1
models:
  - {name: bought, upstream: {kind: local}, price: {input: 1, output: 2}, context_window: 8192}
  - name: own
    upstream: {kind: local}
    price: {gpu_hour_usd: 3.6, gpus: 2, tokens_per_second: 500}
    context_window: 8192
default_model: bought
policy: {name: linucb, epsilon: 0, new_share: 0, reward: {name: difference, lambda: 0.2}}
"""


class Views:
    def __init__(self) -> None:
        self._view = Fold(parse_config(CONFIG), space=1).view()

    def view(self, space: int) -> View:
        return self._view


def decided(**hints: object) -> RoutedDecision:
    router = Router(Views(), lambda decision, estimate: None, np.random.default_rng(0))
    probabilities = np.full(len(TASKS), 1 / len(TASKS), np.float32)
    classified = Classified(probabilities, 0.4, np.zeros(EMBEDDING_DIM, np.float32), 1)
    return router.decide(classified, RoutingHints(prompt_tokens=50, **hints))  # type: ignore[arg-type]


def test_the_price_of_tokens_follows_from_hours_and_speed() -> None:
    price = parse_config(CONFIG).model("own").price
    # Two GPUs are 2 USD per 1,000 seconds, in which they write 500,000 tokens and read ten times as many.
    assert (price.output, price.input) == (pytest.approx(4.0), pytest.approx(0.4))


def test_idle_machines_are_taken_and_busy_ones_cost_what_they_cost_at_full_load() -> None:
    assert decided(loads={"own": 0.0}).model == "own"
    assert decided(loads={"own": 1.0}).model == decided().model == "bought"


def test_what_is_recorded_is_the_price_at_full_load() -> None:
    idle, busy = decided(loads={"own": 0.0}), decided(loads={"own": 1.0})
    assert idle.expected_cost == busy.expected_cost


def test_hours_without_a_speed_are_no_price() -> None:
    with pytest.raises(ConfigError, match="tokens_per_second: gpu_hour_usd needs it"):
        parse_config(CONFIG.replace(", tokens_per_second: 500", ""))
