"""How the judge grades: whether the place, the length or the author of an answer moves it. From what is kept of its grades."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from router_backend.core.judgement import Judgement
from router_backend.core.records import KeptFeedback, LearningEvent, Record
from router_backend.core.signals import GRADES

_Z = 1.96  # of a 95 % interval
_LEAST = 4  # pairs of numbers that have a correlation with an interval


class Figure(NamedTuple):
    """A figure from so many grades, with its 95 % interval."""

    grades: int
    value: float
    low: float
    high: float

    def plain(self) -> dict[str, float]:
        return self._asdict()


@dataclass(frozen=True, slots=True)
class Graded:
    """One grade: of an answer alone, or beside the reference model's."""

    arm: str
    score: float
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class JudgeReport:
    """None where there are too few grades to say anything."""

    graded: int  # answers graded alone
    compared: int
    ties: int  # comparisons with two equal grades
    first_wins: Figure | None  # share of comparisons without a tie; 0.5: places don't matter
    longer_wins: Figure | None  # the same
    length_of_pairs: Figure | None  # correlation of the difference in grade with that in log length
    length: Figure | None  # correlation of grade and log length, of answers graded alone
    own_wins: Figure | None  # share of comparisons without a tie in which one answer is the judge's own
    own_grades: Figure | None  # mean grade of the judges' own answers less that of others'

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        figures = {name: getattr(self, name) for name in self.__slots__}
        return {name: f.plain() if isinstance(f, Figure) else f for name, f in figures.items()}


def grades_in(records: Iterable[Record], since: float) -> Iterator[Graded]:
    """The judge's grades that still count. Reads `records` (Archive.records) up to its events."""
    for record in records:
        if isinstance(record, LearningEvent):
            return
        if not isinstance(record, KeptFeedback) or record.feedback.implicit not in GRADES:
            continue
        judgement = Judgement.of(record.feedback.tags)
        if judgement and record.feedback.received >= since:
            yield Graded(record.arm, record.feedback.score, judgement)


def judge_report(grades: Iterable[Graded]) -> JudgeReport:
    """Of grades in any order."""
    every = list(grades)
    alone = [g for g in every if not g.judgement.reference]
    pairs = [g for g in every if g.judgement.reference]
    decided = [g for g in pairs if g.score != g.judgement.reference_score]
    own = [g for g in decided if (g.arm == g.judgement.judge) != (g.judgement.reference == g.judgement.judge)]
    unequal = [g for g in decided if g.judgement.characters != g.judgement.reference_characters]
    return JudgeReport(
        graded=len(alone),
        compared=len(pairs),
        ties=len(pairs) - len(decided),
        first_wins=share([_won(g) == g.judgement.first for g in decided]),
        longer_wins=share([_won(g) == (_stretch(g) > 0) for g in unequal]),
        length_of_pairs=correlation(
            [_stretch(g) for g in pairs], [g.score - g.judgement.reference_score for g in pairs]
        ),
        length=correlation([math.log(max(g.judgement.characters, 1)) for g in alone], [g.score for g in alone]),
        own_wins=share([_won(g) == (g.arm == g.judgement.judge) for g in own]),
        own_grades=_own_grades(every),
    )


def text(report: JudgeReport) -> str:
    """For a terminal."""
    lines = [
        f"{report.graded:,} answers graded alone, {report.compared:,} beside the reference model's ({report.ties:,} ties)"
    ]
    for title, figure, form in (
        ("the first of two wins", report.first_wins, "{:.0%}"),
        ("the longer of two wins", report.longer_wins, "{:.0%}"),
        ("grade and length, of two", report.length_of_pairs, "{:+.2f}"),
        ("grade and length, alone", report.length, "{:+.2f}"),
        ("the judge's own of two wins", report.own_wins, "{:.0%}"),
        ("the judge's own grades, less others'", report.own_grades, "{:+.2f}"),
    ):
        said = "too few grades"
        if figure:
            value, low, high = (form.format(number) for number in figure[1:])
            said = f"{value} ({low} … {high}) of {figure.grades:,}"
        lines.append(f"{title:<38}{said}")
    return "\n".join(lines)


def share(events: Sequence[bool]) -> Figure | None:
    """With Wilson's interval (Wilson 1927)."""
    count = len(events)
    if not count:
        return None
    value, spread = sum(events) / count, _Z * _Z / count
    middle = (value + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(value * (1 - value) / count + spread / (4 * count)) / (1 + spread)
    return Figure(count, value, middle - half, middle + half)


def correlation(left: Sequence[float], right: Sequence[float]) -> Figure | None:
    """Pearson's, with Fisher's interval."""
    if len(left) < _LEAST or np.ptp(left) == 0 or np.ptp(right) == 0:
        return None
    value = float(np.clip(np.corrcoef(left, right)[0, 1], -1.0, 1.0))
    middle, half = math.atanh(min(max(value, -1 + 1e-12), 1 - 1e-12)), _Z / math.sqrt(len(left) - 3)
    return Figure(len(left), value, math.tanh(middle - half), math.tanh(middle + half))


def _won(graded: Graded) -> bool:
    return graded.score > graded.judgement.reference_score


def _stretch(graded: Graded) -> float:
    """Log of how many times longer the answer is than the reference's."""
    judgement = graded.judgement
    return math.log(max(judgement.characters, 1) / max(judgement.reference_characters, 1))


def _own_grades(grades: Sequence[Graded]) -> Figure | None:
    own: list[float] = []
    others: list[float] = []
    for graded in grades:
        judgement = graded.judgement
        (own if graded.arm == judgement.judge else others).append(graded.score)
        if judgement.reference:
            (own if judgement.reference == judgement.judge else others).append(judgement.reference_score)
    if min(len(own), len(others)) < 2:
        return None
    value = float(np.mean(own) - np.mean(others))
    half = _Z * math.sqrt(np.var(own, ddof=1) / len(own) + np.var(others, ddof=1) / len(others))
    return Figure(len(own), value, value - half, value + half)
