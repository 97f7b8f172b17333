"""What the fold makes of where a score comes from, and of who answered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from router_backend.bandits.context import CONTEXT_DIM
from router_backend.core.records import LearningEvent
from router_backend.learning.fold import Fold
from router_backend.routing.view import View
from tests.learning.test_learner import config_of

CONFIG = config_of("small", "large")


def event(number: int, quality: float, **changes: object) -> LearningEvent:
    context = np.random.default_rng(number % 50).normal(size=CONTEXT_DIM).astype(np.float32) / 4
    observed = LearningEvent(
        sequence=number + 1,
        decision_id=str(number),
        arm="small",
        at=1.7e9 + number,
        embedding_space=7,
        context=context,
        task="math",
        quality=quality,
        cost=1e-4,
    )
    return replace(observed, **changes)  # type: ignore[arg-type]


def folded(events: list[LearningEvent], page: int = 1000) -> View:
    fold = Fold(CONFIG, 7)
    for start in range(0, len(events), page):
        fold.fold(events[start : start + page])
    return fold.view()


def counts(view: View) -> list[float]:
    return view.policies[""].counts.tolist()


def checked_judge(pairs: int = 400) -> list[LearningEvent]:
    """Somebody scores what a judge has scored, of which the judge gets four in five right."""
    scores = [(n % 2, n % 2 if n % 10 < 8 else 1 - n % 2) for n in range(pairs)]
    return [event(n, float(given), judged={"judge": float(score)}) for n, (given, score) in enumerate(scores)]


def test_a_judge_that_was_checked_teaches_less_than_people() -> None:
    judged = [event(400 + n, float(n % 2), source="judge") for n in range(100)]
    assert counts(folded(judged))[0] == 100.0
    checked = counts(folded([*checked_judge(), *judged]))[0] - 400.0
    assert 20.0 < checked < 50.0


def test_the_pages_in_which_the_log_is_read_change_nothing() -> None:
    log = [*checked_judge(), *(event(400 + n, 1.0, source="judge", revision=f"r{n // 30}") for n in range(100))]
    one, other = folded(log), folded(log, page=7)
    assert np.allclose(counts(one), counts(other))


def test_a_new_revision_makes_what_was_known_a_weak_prior() -> None:
    before = [event(n, 1.0, revision="r1") for n in range(300)]
    keep = CONFIG.policy.change.keep  # type: ignore[union-attr]
    assert counts(folded(before))[0] == 300.0
    assert counts(folded([*before, event(300, 0.0, revision="r2")]))[0] == keep + 1.0
    # Upstreams of several servers alternate: only what was never seen is another model.
    flapping = [event(300 + n, 1.0, revision=f"r{n % 2 + 1}") for n in range(20)]
    assert counts(folded([*before, *flapping]))[0] == keep + 19.0
