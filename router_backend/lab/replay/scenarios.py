"""What may go wrong while a policy learns: the world changes, a model joins, feedback is late, rare or false.

A scenario changes what the policy sees and when; it is judged by what its choices really earned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.query import Choice, doubt
from router_backend.config.judge import JudgeConfig

Floats = NDArray[np.float64]
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """Changes to a replay; the default changes nothing."""

    name: str = "stationary"
    drift_at: float | None = None  # share of the run after which the two best models swap their recorded scores
    joins_at: float | None = None  # share of the run after which the best model becomes a candidate
    delay: int = 0  # queries between an answer and its feedback
    feedback: float = 1.0  # share of answers that get feedback
    longer_at: float | None = None  # share of the run after which all prompts and answers cost twice as much
    budget: float | None = None  # USD that 1,000 requests may cost; None: λ is the cost weight
    by_day: float | None = None  # USD that a day may cost, in place of `budget`
    busier_at: float | None = None  # share of the run after which requests come twice as often
    poisoned: float = 0.0  # share of feedback whose score is turned over, 1 − score
    grading: float | None = (
        None  # share of answers that a judge grades, more where the policy is unsure; in place of `feedback`
    )


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(),
        Scenario("drift", drift_at=0.5),
        Scenario("new_model", joins_at=0.5),
        Scenario("delayed_sparse", delay=200, feedback=0.2),
        Scenario("poisoned", poisoned=0.1),
    )
}


UNSCORED, JUDGED = "unscored", "judged"
_AHEAD = 20.0  # answers of which a judge may grade its share beforehand


def scored_by_a_judge(accuracy: float, share: float) -> dict[str, Scenario]:
    """Nobody gives a score; and a judge grades a `share` of the answers, of which it gets `accuracy` right.

    Raises:
        ValueError: one of them is no share.
    """
    if not (0 <= accuracy <= 1 and 0 < share <= 1):
        raise ValueError("--judge-accuracy and --judge-share are shares: of 0 to 1, and the second is more than 0")
    judged = Scenario(JUDGED, poisoned=1 - accuracy, grading=share)
    return {UNSCORED: Scenario(UNSCORED, feedback=0.0), JUDGED: judged}


PACED, PACED_BY_DAY = "paced", "paced_by_day"


def paced(usd_per_1000: float) -> dict[str, Scenario]:
    """A budget, and prompts that double in length half-way.

    Raises:
        ValueError: it is no money.
    """
    if not usd_per_1000 > 0:
        raise ValueError("--budget is what 1,000 requests may cost, in USD: more than 0")
    return {PACED: Scenario(PACED, longer_at=0.5, budget=usd_per_1000)}


def paced_by_day(usd: float) -> dict[str, Scenario]:
    """A budget by the day, prompts that double in length half-way, and requests that double in number after three quarters.

    Raises:
        ValueError: it is no money.
    """
    if not usd > 0:
        raise ValueError("--budget-per-day is what a day may cost, in USD: more than 0")
    return {PACED_BY_DAY: Scenario(PACED_BY_DAY, longer_at=0.5, by_day=usd, busier_at=0.75)}


def arrivals(scenario: Scenario, rows: int, a_day: int, rng: np.random.Generator) -> Floats:
    """[rows] seconds at which requests come, at random: `a_day` of them in a day, and twice as many once they are `busier_at`."""
    gaps = rng.exponential(_DAY / a_day, rows)
    if scenario.busier_at is not None:
        gaps[int(scenario.busier_at * rows) :] /= 2.0
    return np.asarray(np.cumsum(gaps))


class Grading:
    """Which answers a judge grades: as `judge:` does, about half its share where the policy is sure and twice where it isn't.

    What it has graded so far is held to its share: where it was too little, more is graded now, as a day's budget allows.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._judge = JudgeConfig(share=max(share / 2, 2 * share - 1), unsure_share=min(1.0, 2 * share))
        self._answers = self._graded = 0.0

    def chosen(self, choice: Choice, point: float) -> bool:
        """Whether the answer of a choice is graded; `point`: drawn uniformly from 0 to 1."""
        room = max(0.0, self._share * (self._answers + _AHEAD) - self._graded) / (self._share * _AHEAD)
        graded = point < room * self._judge.share_of("", doubt(choice.means, choice.bonuses))
        self._answers += 1
        self._graded += graded
        return graded


@dataclass(frozen=True, slots=True)
class World:
    """One run under a scenario, in the order of the queries; [online] or [online, models]."""

    quality: Floats  # what an answer is really worth
    shown: Floats  # what feedback says
    heard: NDArray[np.bool_]  # whether there is feedback
    available: NDArray[np.bool_]  # candidates
    delay: int


def unfold(scenario: Scenario, quality: Floats, rng: np.random.Generator) -> World:
    """Apply a scenario to recorded scores [online, models]."""
    rows, models = quality.shape
    truth, available = quality.copy(), np.ones((rows, models), bool)
    ranked = np.argsort(-quality.mean(0))
    if scenario.drift_at is not None:
        after, (best, second) = int(scenario.drift_at * rows), ranked[:2]
        truth[after:, [best, second]] = quality[after:][:, [second, best]]
    if scenario.joins_at is not None:
        available[: int(scenario.joins_at * rows), ranked[0]] = False
    false = rng.random(rows) < scenario.poisoned
    return World(
        quality=truth,
        shown=np.where(false[:, None], 1.0 - truth, truth),
        heard=rng.random(rows) < scenario.feedback,
        available=available,
        delay=scenario.delay,
    )
