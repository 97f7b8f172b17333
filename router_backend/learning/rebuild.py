"""Learning a whole log again, of which the store has only the end: the archive has what lies in front of it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from router_backend.classifier.space_map import SpaceMap
from router_backend.config import RouterConfig
from router_backend.contract import TASKS
from router_backend.core.ahead import read_ahead
from router_backend.core.observations import Observations
from router_backend.core.records import LearningEvent
from router_backend.learning.fold import Fold
from router_backend.learning.resume import keep
from router_backend.state.compaction import READER_SECONDS, Reader
from router_backend.state.store import Store

if TYPE_CHECKING:
    from router_backend.archive.place import Place

_PAGE = 5000
_RENEW_SECONDS = READER_SECONDS / 8


class IncompleteLog(RuntimeError):
    """The log's beginning isn't in the store, and can't be read from an archive either; says what to do."""


class WholeLog:
    """A store's log from its first event on, while none leaves the store unread."""

    def __init__(self, store: Store, config: RouterConfig, state_dir: Path) -> None:
        self._store, self._config, self._state_dir = store, config, state_dir
        self._name, self._renew_at = secrets.token_hex(8), 0.0
        self.name = store.log()
        self.mark = self.hold(0)
        """The events up to it are in the archive alone."""

    def hold(self, sequence: int, key: str = "") -> int:
        """Nothing behind an event leaves the store meanwhile. Returns the log's mark."""
        self._renew_at = time.monotonic() + _RENEW_SECONDS
        return self._store.compaction().follow(Reader(self._name, self.name, sequence, key))

    def renew(self, sequence: int) -> None:
        if time.monotonic() >= self._renew_at:
            self.hold(sequence)

    def archived(self) -> Iterator[Sequence[LearningEvent]]:
        """Those that are in the archive alone, in order.

        Raises:
            IncompleteLog: there is no archive any more.
            ArchiveError: it can't be read.
        """
        if not self.mark:
            return  # and no archive's packages are needed
        from router_backend.archive.events import archived_events

        yield from archived_events(self._archive(), self.name, self.mark)

    def archived_observations(self) -> Iterator[Observations]:
        """As `archived`, by column."""
        if not self.mark:
            return
        from router_backend.archive.events import archived_observations

        yield from archived_observations(self._archive(), self.name, self.mark)

    def _archive(self) -> Place:
        from router_backend.archive.process import archive_place

        if self._config.archive is None:
            raise IncompleteLog(
                f"the first {self.mark:,} observations are in an archive: name it in router.yaml (`archive`)"
            )
        return archive_place(self._config, self._state_dir)

    def kept(self) -> Iterator[Observations]:
        """Those that are in the store, by column."""
        after = self.mark
        while len(seen := self._store.observations(after, _PAGE)):
            after = int(seen.sequences[-1])
            yield seen


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild did."""

    archived: int  # observations out of the archive
    missing: int  # that it should have had
    kept: int  # out of the store
    written: bool  # False: there is a checkpoint of this position or a later one already


def rebuild(
    store: Store,
    config: RouterConfig,
    state_dir: Path,
    space: int,
    space_map: SpaceMap | None = None,
    progress: Callable[[int], None] = lambda count: None,
    tasks: Sequence[str] = TASKS,
) -> Rebuilt:
    """Fold a whole log, and leave a checkpoint of it for routers of this configuration and embedding space.

    Raises:
        StoreError, ArchiveError, IncompleteLog.
    """
    log, fold = WholeLog(store, config, state_dir), Fold(config, space, space_map, tasks)
    fold.log = log.name
    behind = store.event_count()
    read = 0
    for seen in read_ahead(log.archived_observations()):
        fold.fold(seen)
        log.renew(log.mark)
        progress(read := read + len(seen))
    archived, fold.sequence = read, log.mark
    for seen in read_ahead(log.kept()):
        fold.fold(seen)
        log.renew(fold.sequence)
        progress(read := read + len(seen))
    checkpoint = fold.checkpoint()
    log.hold(fold.sequence, fold.key)
    written = keep(store, checkpoint)
    kept = read - archived
    return Rebuilt(archived, max(0, behind - read), kept, written)
