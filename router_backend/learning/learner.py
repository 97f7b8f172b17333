"""Keeps the policies current: polls the store's log in the background and publishes immutable views.

A router starts from the latest checkpoint that fits its configuration and folds the rest of the log; without one, and after a
reload that adds an arm or a policy, it folds the whole log beside the view in use. All replicas fold the same events in the
same order; one of them writes a checkpoint now and then, and one removes events that the archive has and nobody reads any more.
Where a router would need those, it goes on with the others until it, or somebody, has rebuilt a checkpoint from the archive. While
the store is down the last view stays.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from router_backend.bandits.policy import Policy
from router_backend.classifier.space_map import SpaceMap
from router_backend.classifier.tasks import TasksOf, default_tasks
from router_backend.config import RouterConfig
from router_backend.core.ahead import read_ahead
from router_backend.core.background import kept_thread
from router_backend.core.observations import Observations
from router_backend.learning.fold import Fold
from router_backend.learning.following import Following
from router_backend.learning.progress import Progress
from router_backend.learning.refill import Refill
from router_backend.learning.resume import GAP_ADVICE, followed, keep
from router_backend.routing.view import View
from router_backend.state.store import Store, StoreError

_log = logging.getLogger(__name__)
_PAGE = 5000  # events; a fold of many costs one factorisation an arm
_SPACES = 2  # that are kept at once: the encoder in use and the one it replaces or is replaced by
_SETTLE_SECONDS = 0.5
_OUTCOME_LAG_SECONDS = 2.0  # that an outcome may come later than the feedback, which gateways report apart
_PRUNE_SECONDS = 3600.0
_CHECKPOINT_EVENTS = 5000  # a start folds about as many again
_CHECKPOINT_SECONDS = 10.0  # between two looks whether so many have come
_GAP_SECONDS = 30.0  # between two looks for a checkpoint that fills a gap
_LEASE_SECONDS = 60.0  # after which another replica writes, where the one that did is gone


class Learner:
    """`view` and `policy` never block; everything else happens in one background thread."""

    def __init__(
        self,
        store: Store,
        config: RouterConfig,
        space: int,
        space_map: SpaceMap | None = None,
        poll_seconds: float = 0.05,
        on_poll: Callable[[bool], None] | None = None,
        checkpoint_events: int = _CHECKPOINT_EVENTS,
        state_dir: Path | None = None,
        tasks_of: TasksOf = default_tasks,
    ) -> None:
        """`space`: the embedding space of the classifier in use; `on_poll`: told whether the store answered.

        `poll_seconds`: between two looks at the log, longer while nothing new comes and the store asks for it;
        `checkpoint_events`: events of the log from one checkpoint to the next; `state_dir`: where a relative `archive` lies, and None
        that the archive isn't learned from; `tasks_of`: of an embedding space's classifier.
        """
        self._store = store
        self._config = config
        self._map = space_map
        self._shortest = self._pause = poll_seconds
        self._on_poll = on_poll
        self._wake = threading.Condition()
        self._wanted: set[int] = {space}
        self._stopping = False
        self._caught_up = threading.Event()
        self._settle_at = self._prune_at = self._checkpoint_at = 0.0  # monotonic
        self._checkpoint_events = checkpoint_events
        self._holder = secrets.token_hex(8)
        self._following = Following(store)
        self._refill = None if state_dir is None else Refill(store, state_dir, space_map, tasks_of)
        self._progress = Progress(lambda: on_poll(True) if on_poll is not None else None)
        self._gap_at: dict[int, float] = {}  # by embedding space that lacks events: monotonic, the next look for them
        self._saved: dict[str, int] = {}  # by the fold's key: the latest checkpoint's position
        self._folds: dict[int, Fold] = {}
        self._tasks_of = tasks_of
        self._cold: dict[tuple[str, ...], View] = {}  # by tasks, before anything is learned: the priors
        self._cold_view(tasks_of(space))
        self._views: dict[int, View] = {}
        self._thread = kept_thread("learner", self._run)

    def start(self) -> None:
        self._thread.start()

    def wait_until_current(self, timeout: float) -> bool:
        """Wait until the log has been read to its end once since the start, or since a reload."""
        return self._caught_up.wait(timeout)

    def expect(self, space: int, space_map: SpaceMap | None, timeout: float) -> bool:
        """Learn in the embedding space of a classifier that comes next as well, what `space_map` carries over included.

        Returns whether the log has been read for it within `timeout` seconds.
        """
        with self._wake:
            if space not in self._folds:
                if space_map is not None:
                    self._map = space_map
                    if self._refill is not None:
                        self._refill.space_map = space_map
                self._wanted.add(space)
                self._caught_up.clear()
        return self._caught_up.wait(timeout)

    def view(self, space: int) -> View:
        """The newest view of an embedding space; of one not seen before, the priors, until the log has been folded."""
        view = self._views.get(space)
        if view is None:
            self._wanted.add(space)  # without the lock, which is held while events are folded
            return self._cold_view(self._tasks_of(space))
        return view

    def policy(self, name: str, space: int) -> Policy:
        """A configured policy by name ("": the main one); KeyError if there is none."""
        return self.view(space).policies[name]

    def reload(self, config: RouterConfig) -> None:
        """Use another configuration from the next view on; kept arms keep what they have learned.

        Returns once the views are swapped. New arms and policies start from their priors, and from the log as soon
        as it has been folded again.
        """
        cold = {tasks: Fold(config, space=0, tasks=tasks).view() for tasks in tuple(self._cold)}
        with self._wake:
            self._config, self._cold = config, cold
            self._caught_up.clear()
            self._gap_at = {}
            folds = {}
            for space, old in self._folds.items():
                folds[space] = Fold(config, space, self._map, self._tasks_of(space))
                if not folds[space].adopt(old) or not folds[space].whole:
                    self._wanted.add(space)
            self._folds = folds
            self._views = {space: fold.view() for space, fold in folds.items()}

    def _cold_view(self, tasks: tuple[str, ...]) -> View:
        """Made once for each list of tasks: at the start, and at the first decision after a promotion that brings others."""
        view = self._cold.get(tasks)
        if view is None:
            view = self._cold[tasks] = Fold(self._config, space=0, tasks=tasks).view()
        return view

    @property
    def behind(self) -> int:
        """Events of the log that are still to be read, when it was looked at last."""
        return self._progress.behind

    def close(self, timeout: float = 5.0) -> None:
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        up = True
        while True:
            with self._wake:
                if self._stopping:
                    return
            try:
                before = self._positions()
                self._catch_up()
                self._pause = next_pause(
                    self._pause, self._positions() != before, self._shortest, self._store.idle_seconds
                )
                self._tidy()
                if not up:
                    _log.info("the store answers again")
                up = True
            except Exception as error:
                if up:
                    _log.warning(
                        "learning waits, routing goes on with what is known: %s",
                        error,
                        exc_info=None if isinstance(error, StoreError) else error,
                    )
                up = False
            if self._on_poll is not None:
                self._on_poll(up)
            with self._wake:
                self._wake.wait_for(lambda: self._stopping, self._pause)

    def _positions(self) -> dict[int, int]:
        return {space: fold.sequence for space, fold in self._folds.items()}

    def _catch_up(self) -> None:
        """Build the folds that are wanted and bring all up to the log's end."""
        for space in tuple(self._wanted):
            self._build(space)
        for space, fold in tuple(self._folds.items()):
            for seen in self._pages_ahead(fold.sequence):
                if seen.sequences[0] > fold.sequence + 1 and self._following.follow(fold) > fold.sequence:
                    self._wanted.add(space)  # it was away, and the log was shortened meanwhile
                    break
                with self._wake:
                    if self._folds.get(space) is not fold:
                        break  # replaced by a reload
                    fold.fold(seen)
                    self._views = {**self._views, space: fold.view()}
                self._read(fold.sequence, len(seen))
        with self._wake:
            if not self._wanted:
                self._caught_up.set()

    def _build(self, space: int) -> None:
        """Fold the log for a space, beside the view in use if there is one, then swap it in."""
        config = self._config
        fold = followed(self._store, config, space, self._map, self._following, self._tasks_of(space))
        if fold.lacks:
            if self._refill is not None:
                self._refill.begin(config, space, fold.key)
            if self._goes_on(space, fold.lacks):
                return
        if fold.sequence and not fold.lacks:
            _log.info("learning goes on from the checkpoint at event %d", fold.sequence)
        self._saved[fold.key] = fold.sequence
        for seen in read_ahead(self._pages(fold.sequence)):
            fold.fold(seen)
            self._following.missed([fold])
            self._read(fold.sequence, len(seen))
            with self._wake:
                if self._stopping or self._config is not config:
                    return
                if space not in self._folds:  # a long log serves as far as it has been read
                    self._views = {**self._views, space: fold.view()}
        with self._wake:
            if self._config is not config:
                return  # reloaded meanwhile; the space is still wanted
            self._wanted.discard(space)
            if not fold.lacks:
                self._gap_at.pop(space, None)
            if space in self._folds:
                fold.keep_controls(self._folds[space])
            others = [(key, value) for key, value in self._folds.items() if key != space][-(_SPACES - 1) :]
            self._folds = {**dict(others), space: fold}
            self._views = {key: self._views[key] for key, _ in others} | {space: fold.view()}
        self._following.follow(fold)  # it isn't behind any more

    def _pages_ahead(self, after: int) -> Iterator[Observations]:
        """As `_pages`; where there is more than a page, the others are read ahead."""
        first = self._store.observations(after, _PAGE)
        if len(first):
            yield first
        if len(first) == _PAGE:
            yield from read_ahead(self._pages(int(first.sequences[-1])))

    def _pages(self, after: int) -> Iterator[Observations]:
        while len(seen := self._store.observations(after, _PAGE)):
            after = int(seen.sequences[-1])
            yield seen

    def _read(self, sequence: int, events: int) -> None:
        """A page of so many events was read, up to this one."""
        self._progress.at(sequence, self._store.log_end() if events == _PAGE else sequence)

    def _goes_on(self, space: int, lacks: int) -> bool:
        """Whether the fold in use is as good as one that lacks events, which nobody can read now; says so once."""
        if space not in self._gap_at:
            _log.warning("the first %d observations aren't learned from: %s", lacks, GAP_ADVICE)
        self._gap_at[space] = time.monotonic() + _GAP_SECONDS
        with self._wake:
            if space not in self._folds or self._folds[space].sequence < lacks:
                return False
            self._wanted.discard(space)
            fold = self._folds[space]
        self._following.follow(fold)
        return True

    def _checkpoint(self) -> None:
        """Keep what was learned since the latest checkpoint; one replica does so at a time."""
        with self._wake:  # a reload changes folds
            due = {
                fold.key: fold.checkpoint()
                for fold in self._folds.values()
                if fold.whole and fold.sequence - self._saved.get(fold.key, 0) >= self._checkpoint_events
            }
        for key, checkpoint in due.items():
            if self._store.claim(f"checkpoint:{key}", self._holder, _LEASE_SECONDS):
                keep(self._store, checkpoint)
            # Another's is about as late as one's own would have been.
            self._saved[key] = checkpoint.sequence
        if self._config.archive is not None and self._folds:
            self._following.compact(next(iter(self._folds.values())).log)

    def _tidy(self) -> None:
        """Settle implicit feedback and remove what is past its retention; several routers may do so at once."""
        now, monotonic = time.time(), time.monotonic()
        if monotonic >= self._settle_at:
            self._store.settle(now - self._config.implicit.grace_seconds, now - _OUTCOME_LAG_SECONDS)
            self._settle_at = monotonic + max(_SETTLE_SECONDS, self._pause)
        if monotonic >= self._prune_at:
            self._store.prune(now - self._config.retention_days * 86_400, done=self._config.archive is not None)
            self._prune_at = monotonic + _PRUNE_SECONDS
        with self._wake:
            folds = tuple(self._folds.values())
        self._wanted.update(self._following.missed(folds))
        self._wanted.update(space for space, at in self._gap_at.items() if monotonic >= at)
        if monotonic >= self._checkpoint_at and not self._wanted:
            self._checkpoint()
            self._checkpoint_at = monotonic + _CHECKPOINT_SECONDS


def next_pause(pause: float, found: bool, shortest: float, longest: float) -> float:
    """Seconds until the next look at the log: it is looked at often while something comes, and ever more rarely while nothing does."""
    return shortest if found else min(2 * pause, max(shortest, longest))
