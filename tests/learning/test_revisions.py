"""Which names are another model's."""

from __future__ import annotations

import pytest

from router_backend.core.observations import Observations
from router_backend.core.records import LearningEvent
from router_backend.learning.revisions import Revisions
from tests.learning.test_fold import event


def log(names: str) -> list[LearningEvent]:
    return [event(number, 1.0, revision=name) for number, name in enumerate(names.split())]


@pytest.mark.parametrize(
    ("names", "replacements"),
    [
        ("m m m", 0),
        ("m n m n", 1),
        ("m@1 m m@1 m", 0),  # chat answers have a fingerprint, native ones don't
        ("m m@1 m m@1", 0),
        ("m m@1 m@2", 1),
        ("m@1 m@2 m", 1),
        ("m@1 n", 1),
        ("m@1 mm", 1),
    ],
)
def test_another_form_of_a_name_is_no_other_model(names: str, replacements: int) -> None:
    events = log(names)
    seen = Observations.of(events)
    runs = list(Revisions().runs(seen.arms, seen.revisions))
    assert sum(bool(arm) for arm, _ in runs) == replacements
    assert [one.sequence for _, part in runs for one in events[part]] == [one.sequence for one in events]
