"""Processes and threads that follow the cores."""

from __future__ import annotations

import pytest

from router_backend.classifier.instances import threads, with_threads


@pytest.mark.parametrize(
    ("told", "cores", "count"),
    [("cores", 0.5, 1), ("cores", 1.0, 1), ("cores", 3.9, 3), ("cores", 64.0, 8), ("0", 4.0, 0), ("12", 2.0, 12)],
)
def test_the_threads_that_classify_in_the_router(told: str, cores: float, count: int) -> None:
    assert threads(told, cores) == count


@pytest.mark.parametrize("told", ["", "-1", "all", "1.5"])
def test_a_number_of_threads_that_is_none_is_refused(told: str) -> None:
    with pytest.raises(ValueError, match="a number of threads"):
        threads(told, 2.0)


def test_a_configuration_without_the_parameter_stays_as_it_is() -> None:
    assert with_threads('backend: "python"\n', "0") == 'backend: "python"\n'
