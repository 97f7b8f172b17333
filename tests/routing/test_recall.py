"""What the classifier has lately said, by prompt."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from router_backend.contract import EMBEDDING_DIM, TASKS
from router_backend.routing.recall import Recall
from router_backend.routing.router import Classified


def said(complexity: float, space: int = 1) -> Classified:
    return Classified(np.zeros(len(TASKS), np.float32), complexity, np.zeros(EMBEDDING_DIM, np.float32), space)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_was_said_is_known_for_a_while() -> None:
    clock = Clock()
    recall = Recall(seconds=60, clock=clock)
    recall.keep("a", said(0.5))
    clock.now = 60
    found = recall.find("a")
    assert found is not None
    assert found.complexity == 0.5
    clock.now = 61
    assert recall.find("a") is None
    assert recall.find("b") is None


def test_it_is_a_copy() -> None:
    """Triton's tensors lie in memory that the next request uses again."""
    recall, given_ = Recall(), said(0.5)
    recall.keep("a", given_)
    given_.embedding[:] = 7
    given_.task_probabilities[:] = 7
    found = recall.find("a")
    assert found is not None
    assert not found.embedding.any()
    assert not found.task_probabilities.any()


def test_another_embedding_space_is_another_classifier() -> None:
    recall = Recall()
    recall.keep("a", said(0.5, space=1))
    recall.keep("b", said(0.5, space=2))
    assert recall.find("a") is None
    assert recall.find("b") is not None


def test_while_another_classifier_is_loaded_nothing_is_kept() -> None:
    clock = Clock()
    recall = Recall(seconds=60, clock=clock)
    recall.keep("a", said(0.5))
    recall.begin_again(30)
    recall.keep("b", said(0.5))
    assert recall.find("a") is recall.find("b") is None
    clock.now = 30
    recall.keep("b", said(0.7))
    assert recall.find("b") is not None


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.floats(0, 20)), max_size=60))
def test_it_keeps_the_newest_and_nothing_that_is_old(steps: list[tuple[bool, int, float]]) -> None:
    """Against a plain model: the last three prompts that were used, each for ten seconds from when it was said."""
    clock = Clock()
    recall, used, until = Recall(prompts=3, seconds=10, clock=clock), list[str](), dict[str, float]()
    for keeps, number, wait in steps:
        clock.now += wait
        prompt = str(number)
        if keeps:
            recall.keep(prompt, said(number))
            used = [*(name for name in used if name != prompt), prompt][-3:]
            until[prompt] = clock.now + 10
            continue
        found = recall.find(prompt)
        known = prompt in used and until[prompt] >= clock.now
        assert (found is not None) == known
        if found is not None:
            assert found.complexity == number
            used = [*(name for name in used if name != prompt), prompt]
