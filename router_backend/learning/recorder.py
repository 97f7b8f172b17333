"""Writes decisions and outcomes off the hot path, a group at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from router_backend.core.background import kept_thread
from router_backend.core.records import Decision, Outcome
from router_backend.state.backlog import Backlog
from router_backend.state.store import Store, StoreError

_log = logging.getLogger(__name__)
_GROUP = 512
_RETRY_SECONDS = (0.1, 2.0)  # first and longest pause while the store is down
_REMEMBERED_LOSSES = 10_000


class Recorder:
    """`decision` and `outcome` return at once and never raise; a background thread makes them durable.

    While the store is down the backlog grows up to `capacity` records, then new ones are dropped and counted.
    """

    def __init__(
        self,
        store: Store,
        capacity: int = 50_000,
        linger: float = 0.01,
        on_drop: Callable[[int], None] | None = None,
        backlog: Backlog | None = None,
    ) -> None:
        """`linger`: seconds that a record waits for company: a group is one transaction; `on_drop`: told the number of
        records just lost; `backlog`: held while records wait for a store that takes none.
        """
        self._waiting = backlog
        self._store = store
        self._capacity = capacity
        self._linger = linger
        self._on_drop = on_drop
        self._changed = threading.Condition()
        self._queue: deque[Decision | Outcome] = deque()
        self._unwritten: dict[str, int] = {}  # records not yet durable, by decision
        self._lost: dict[str, None] = {}  # decisions of dropped records, oldest first
        self._estimates: dict[str, Callable[[], float]] = {}  # of propensities, by decision
        self._closing = False
        self.dropped = 0
        self._thread = kept_thread("recorder", self._run)
        self._thread.start()

    def decision(self, decision: Decision, propensity: Callable[[], float] | None = None) -> bool:
        """Queue a decision; False if it was dropped.

        `propensity` estimates that of a choice that was drawn (`Choice.estimate`): the background thread calls it.
        """
        if propensity is not None:
            self._estimates[decision.decision_id] = propensity
        return self._put(decision)

    def outcome(self, outcome: Outcome) -> bool:
        """Queue an outcome; False if it was dropped."""
        return self._put(outcome)

    def flush(self, decision_id: str, timeout: float) -> bool:
        """Wait until what was queued of a decision is durable; False if it isn't within `timeout` seconds, or was lost."""
        with self._changed:
            settled = self._changed.wait_for(lambda: decision_id not in self._unwritten, timeout)
            return settled and decision_id not in self._lost

    def close(self, timeout: float = 5.0) -> None:
        """Write what is queued, for up to `timeout` seconds, and stop."""
        with self._changed:
            self._changed.wait_for(lambda: not self._queue, timeout)
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout)

    def _put(self, record: Decision | Outcome) -> bool:
        with self._changed:
            if self._closing or len(self._queue) >= self._capacity:
                self._forget([record])
                return False
            self._queue.append(record)
            self._unwritten[record.decision_id] = self._unwritten.get(record.decision_id, 0) + 1
            if len(self._queue) == 1:
                self._changed.notify_all()
            return True

    def _run(self) -> None:
        pause = 0.0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closing)
                if self._closing:
                    self._abandon()
                    return
                if pause:
                    self._changed.wait_for(lambda: self._closing, pause)
            time.sleep(self._linger)
            # Only this thread removes.
            group = [self._completed(index) for index in range(min(_GROUP, len(self._queue)))]
            try:
                self._write(group)
            except StoreError as error:
                if not pause:
                    _log.warning("decisions wait in memory (%d now): %s", len(self._queue), error)
                pause = min(max(2 * pause, _RETRY_SECONDS[0]), _RETRY_SECONDS[1])
                if self._waiting is not None:
                    self._waiting.hold()
                continue
            if pause and self._waiting is not None:
                self._waiting.release()
            pause = 0.0
            with self._changed:
                for record in group:
                    self._queue.popleft()
                    self._settle(record.decision_id)
                self._changed.notify_all()

    def _completed(self, index: int) -> Decision | Outcome:
        """The record at a place of the queue, with its propensity in it."""
        record = self._queue[index]
        if isinstance(record, Decision) and (estimate := self._estimates.pop(record.decision_id, None)) is not None:
            try:
                record = self._queue[index] = replace(record, propensity=estimate())
            except Exception:  # without a propensity it can't be used off-policy; it is kept for all else
                _log.exception("the propensity of decision %s can't be estimated", record.decision_id)
        return record

    def _write(self, group: Sequence[Decision | Outcome]) -> None:
        try:
            self._store.append(
                [record for record in group if isinstance(record, Decision)],
                [record for record in group if isinstance(record, Outcome)],
            )
        except StoreError:
            raise
        except Exception as error:  # a record that can't be stored must not hold up the others
            if len(group) > 1:
                for record in group:
                    self._write([record])
                return
            _log.exception("a record of decision %s can't be stored", group[0].decision_id, exc_info=error)
            with self._changed:
                self._forget(group)

    def _abandon(self) -> None:
        for record in self._queue:
            self._settle(record.decision_id)
        self._forget(self._queue)
        self._queue.clear()

    def _forget(self, records: Sequence[Decision | Outcome]) -> None:
        for record in records:
            self._estimates.pop(record.decision_id, None)
            self._lost[record.decision_id] = None
            if len(self._lost) > _REMEMBERED_LOSSES:
                del self._lost[next(iter(self._lost))]
        self.dropped += len(records)
        if self._on_drop is not None and records:
            self._on_drop(len(records))

    def _settle(self, decision_id: str) -> None:
        left = self._unwritten.get(decision_id, 0) - 1
        if left > 0:
            self._unwritten[decision_id] = left
        else:
            self._unwritten.pop(decision_id, None)
