"""Which arms may answer: a length is an estimate, and the upstream's own word decides where it is close."""

from __future__ import annotations

import pytest

from router_backend.prompts.hints import RoutingHints
from router_backend.routing.candidates import NoCandidate, candidates
from tests.support.arms import model, router_config

CONFIG = router_config(
    [model("small", "http://h/v1", context_window=4096), model("large", "http://h/v1", context_window=8192)]
)


def test_a_prompt_that_may_fit_is_tried_on_the_largest_window() -> None:
    assert candidates(CONFIG, RoutingHints(prompt_tokens=8585)) == (1,)  # 34,000 characters of prose: 6,800 tokens


def test_what_fits_by_the_estimate_is_preferred() -> None:
    assert candidates(CONFIG, RoutingHints(prompt_tokens=5000)) == (1,)
    assert candidates(CONFIG, RoutingHints(prompt_tokens=1000)) == (0, 1)


@pytest.mark.parametrize("hints", [{"prompt_tokens": 20_000}, {"prompt_tokens": 10, "max_tokens": 9000}])
def test_what_can_not_fit_is_refused(hints: dict[str, int]) -> None:
    with pytest.raises(NoCandidate):
        candidates(CONFIG, RoutingHints(**hints))
