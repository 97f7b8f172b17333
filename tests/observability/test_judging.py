"""The report of the judge finds what moves its grades, and nothing where nothing does."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_backend.core.judgement import Judgement
from router_backend.core.records import Feedback, KeptFeedback
from router_backend.observability.judging import Graded, correlation, grades_in, judge_report, share, text


def pairs(count: int, first: float = 0.0, longer: float = 0.0, own: float = 0.0, seed: int = 0) -> list[Graded]:
    """Comparisons of a judge that adds so much to the grade of the first, the longer and its own of two answers."""
    rng, made = np.random.default_rng(seed), []
    for number in range(count):
        mine, stands_first, lengths = number % 2 == 0, bool(rng.random() < 0.5), rng.integers(10, 1000, 2)
        score, other = rng.normal(0.5, 0.1, 2)
        score += first * stands_first + longer * (lengths[0] > lengths[1])
        other += first * (not stands_first) + longer * (lengths[1] > lengths[0]) + own * mine
        judgement = Judgement(
            judge="big" if mine else "other",
            characters=int(lengths[0]),
            reference="big",
            reference_characters=int(lengths[1]),
            reference_score=float(other),
            first=stands_first,
        )
        made.append(Graded("small", float(score), judgement))
    return made


def test_a_judge_that_looks_at_the_answers_alone_is_found_to() -> None:
    report = judge_report(pairs(400, seed=3))
    for figure in (report.first_wins, report.longer_wins, report.own_wins):
        assert figure
        assert figure.low < 0.5 < figure.high
    for difference in (report.length_of_pairs, report.own_grades):
        assert difference
        assert difference.low < 0.0 < difference.high
    assert (report.graded, report.compared, report.ties, report.length) == (0, 400, 0, None)


def test_what_moves_a_judge_is_found() -> None:
    first, longer, own = (judge_report(pairs(200, **{kind: 0.2})) for kind in ("first", "longer", "own"))
    assert first.first_wins
    assert first.first_wins.low > 0.6
    assert longer.longer_wins
    assert longer.longer_wins.low > 0.6
    assert longer.length_of_pairs
    assert longer.length_of_pairs.low > 0.2
    assert own.own_wins
    assert own.own_wins.grades == 100
    assert own.own_wins.low > 0.6
    assert own.own_grades
    assert own.own_grades.low > 0.1


def test_ties_and_answers_graded_alone_are_counted_apart() -> None:
    alone = [
        Graded("small", score, Judgement(judge="big", characters=length))
        for score, length in zip((0.2, 0.4, 0.6, 0.8), (10, 30, 90, 270), strict=True)
    ]
    tie = Graded("small", 0.5, Judgement(judge="big", characters=5, reference="best", reference_score=0.5))
    report = judge_report([*alone, tie])
    assert (report.graded, report.compared, report.ties, report.first_wins) == (4, 1, 1, None)
    assert report.length
    assert report.length.value == pytest.approx(1.0)
    assert "4 answers graded alone, 1 beside the reference model's (1 ties)" in text(report)
    assert "too few grades" in text(judge_report([]))


def test_only_the_judges_grades_of_the_time_asked_for_count() -> None:
    def kept(received: float, implicit: str, tags: str) -> KeptFeedback:
        return KeptFeedback(
            Feedback(decision_id="1", received=received, score=0.4, implicit=implicit, tags=tags), "a", 0.4, 0.0
        )

    judgement = Judgement(judge="b", characters=3)
    records = [
        kept(2.0, "judge", judgement.tags()),
        kept(1.0, "judge", judgement.tags()),
        kept(2.0, "judge", ""),  # of an older release
        kept(2.0, "", judgement.tags()),  # a person's
    ]
    assert list(grades_in(records, 1.5)) == [Graded("a", 0.4, judgement)]


@pytest.mark.parametrize("tags", ["", "[]", "{}", "null", '{"judge": "b", "characters": 3, "more": 1}', "x"])
def test_tags_of_others_are_no_judgement(tags: str) -> None:
    assert Judgement.of(tags) is None


@given(st.lists(st.booleans(), min_size=1))
def test_a_share_lies_in_its_interval(events: list[bool]) -> None:
    found = share(events)
    assert found
    assert -1e-9 <= found.low <= found.value + 1e-9
    assert found.value <= found.high + 1e-9 <= 1 + 2e-9


@given(st.lists(st.tuples(*[st.floats(-1e6, 1e6)] * 2), min_size=4))
def test_a_correlation_is_one_or_none(points: list[tuple[float, float]]) -> None:
    found = correlation(*([point[side] for point in points] for side in (0, 1)))
    assert found is None or (all(map(math.isfinite, found)) and -1 <= found.low <= found.high <= 1)
