"""A session whose next step comes to another gateway."""

from __future__ import annotations

from router_backend.core.decision import RoutedDecision
from router_backend.prompts.hints import RoutingHints
from router_backend.routing.sessions import LastArms


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def decision(model: str) -> RoutedDecision:
    return RoutedDecision(decision_id="d", model=model, reason="policy:linucb")


def test_another_gateway_s_step_goes_on_with_the_model_and_its_cache() -> None:
    clock = Clock()
    last = LastArms(clock=clock)
    first = RoutingHints(session="s", prompt_tokens=5000, repeatable=False)
    assert last.completed(first) == first
    last.decided(first, decision("a"))
    step = RoutingHints(session="s", prompt_tokens=6000, repeatable=False, depth=1)
    completed = last.completed(step)
    assert (completed.previous_model, completed.warm) == ("a", {"a": 5000.0})
    assert last.completed(RoutingHints(session="other", depth=1)).previous_model == ""
    clock.now += 400
    completed = last.completed(step)
    assert (completed.previous_model, completed.warm) == ("a", {})  # its cache is cold


def test_a_gateway_that_knows_is_believed() -> None:
    last = LastArms()
    last.decided(RoutingHints(session="s", prompt_tokens=5000), decision("a"))
    told = RoutingHints(session="s", depth=1, previous_model="b", warm={"b": 1.0})
    assert last.completed(told) == told


def test_the_first_words_of_a_conversation_may_be_anybody_s() -> None:
    last = LastArms()
    begins = RoutingHints(session="s", prompt_tokens=5000, repeatable=False)
    last.decided(begins, decision("a"))
    assert last.completed(begins).previous_model == ""


def test_what_is_not_served_is_not_remembered_and_the_memory_is_bounded() -> None:
    last = LastArms(sessions=2)
    last.decided(RoutingHints(session="s", dry_run=True), decision("a"))
    assert last.completed(RoutingHints(session="s")).previous_model == ""
    for name in ("s", "t", "u"):
        last.decided(RoutingHints(session=name), decision("a"))
    assert [last.completed(RoutingHints(session=name)).previous_model for name in ("s", "t", "u")] == ["", "a", "a"]
