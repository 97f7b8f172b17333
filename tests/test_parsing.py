"""Parsing isn't broken by what runs beside it: pytest and hypothesis parse whenever a module is new."""

from __future__ import annotations

import ast
import gc
from collections.abc import Iterator

import pytest

SOURCE = "\n".join(f"def f{n}(a, b=[1, 2, 3]):\n    return [x + {n} for x in (a, b)]" for n in range(500))


class Task:
    """Is in a cycle, so that a collection ends it; its end parses, as that of a task with an exception does."""

    def __init__(self) -> None:
        self.cycle = self

    def __del__(self) -> None:
        ast.parse("f(1) + g(2)")


@pytest.fixture
def hasty() -> Iterator[None]:
    """Collections after a few objects."""
    kept = gc.get_threshold()
    gc.set_threshold(50, 2, 2)
    yield
    gc.set_threshold(*kept)


def test_a_collection_in_the_middle_breaks_nothing(hasty: None) -> None:
    for _ in range(5):
        for _ in range(2000):
            Task()
        assert len(ast.parse(SOURCE).body) == 500
    assert gc.isenabled()
