"""A prior out of the archive is the one that its observations give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from router_backend.archive.archiver import Archiver
from router_backend.archive.events import archived_observations, latest_log
from router_backend.archive.place import open_place
from router_backend.bandits.statistics.prior import DIM
from router_backend.core.observations import Observations
from router_backend.lab.replay.archived_prior import ArchivedSums, prior_of
from router_backend.state.sqlite.store import SQLiteStore
from tests.learning.test_checkpoint import CONFIG, SPACE, events_of


def test_the_sums_are_those_of_all_that_can_be_used() -> None:
    events = events_of(3, 600)
    parts = [Observations.of(events[start : start + 150]) for start in range(0, 600, 150)]
    sums = prior_of(parts, CONFIG.models, SPACE)
    usable = [event for event in events if event.embedding_space == SPACE and event.arm != "removed"]
    prior = sums.prior()
    assert set(prior.arms) == {event.arm for event in usable}
    for place, arm in enumerate(prior.arms):
        own = [event for event in usable if event.arm == arm]
        assert sums.counts[arm] == len(own)
        x = np.column_stack([np.stack([event.context for event in own]), np.ones(len(own))]).astype(np.float64)
        np.testing.assert_allclose(prior.precision[place], x.T @ x, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(prior.quality[place], np.array([event.quality for event in own]) @ x, atol=1e-9)
    assert prior.precision.shape[1:] == (DIM, DIM)
    assert prior.space == SPACE


def test_what_is_too_old_is_left_out() -> None:
    events = events_of(3, 600)
    middle = float(np.median([event.at for event in events]))
    sums = ArchivedSums(CONFIG.models, SPACE)
    sums.add(Observations.of(events), middle)
    whole = prior_of([Observations.of(events)], CONFIG.models, SPACE)
    assert 0 < sum(sums.counts.values()) < sum(whole.counts.values())


def test_an_archive_with_nothing_to_learn_from_says_so() -> None:
    sums = prior_of([Observations.of(events_of(3, 600))], CONFIG.models, SPACE + 9)
    with pytest.raises(ValueError, match="fewer than 50 observations"):
        sums.prior()


def test_it_is_read_from_the_log_that_was_written_last(tmp_path: Path) -> None:
    store, place = SQLiteStore(tmp_path / "state.db"), open_place("archive", tmp_path)
    archiver = Archiver(store, place)
    for number in (100, 600):
        store.archive().clear()
        store.archive().restore(events_of(3, number))
        archiver.drain()
    assert latest_log(place) == store.log()
    sums = prior_of(archived_observations(place, store.log()), CONFIG.models, SPACE)
    whole = prior_of([Observations.of(events_of(3, 600))], CONFIG.models, SPACE)
    assert sums.counts == whole.counts
