"""What the log of learning shows beside the policies: which models have changed, and how far sources agree with people."""

from __future__ import annotations

from collections.abc import Mapping

from router_backend.bandits.statistics.change import Change
from router_backend.classifier.space_map import SpaceMap
from router_backend.config import RouterConfig
from router_backend.core.signals import Agreement
from router_backend.learning.fold import Fold
from router_backend.learning.resume import resumed
from router_backend.state.store import Store

_PAGE = 5000
_LATELY = 1000
Found = tuple[Mapping[str, tuple[Change, ...]], Mapping[str, Agreement]]
"""Changes by model, oldest first; agreements by source."""


def found_in(store: Store, config: RouterConfig, space_map: SpaceMap | None = None) -> Found:
    """What routers have found: changes by model, oldest first, of the main policy; agreements by source.

    In the embedding space of the last event; from the latest checkpoint on, and of a log that was shortened without one from
    where it begins.
    """
    space = _last_space(store)
    fold, mark = resumed(store, config, space, space_map), store.compaction().mark()
    if fold.sequence < mark:
        fold = Fold(config, space, space_map)
        fold.pass_over(mark)
    while len(seen := store.observations(fold.sequence, _PAGE)):
        fold.fold(seen)
    view = fold.view()
    return view.main.changes, view.agreements


def found_lately(store: Store, config: RouterConfig) -> Found:
    """As `found_in`, up to `_LATELY` events behind the latest checkpoint: what it costs doesn't grow with the log."""
    last = store.events(max(0, store.log_end() - 1), 1)
    fold, mark = resumed(store, config, last[0].embedding_space if last else 0), store.compaction().mark()
    if fold.sequence < mark:
        fold.pass_over(mark)
    fold.fold(store.observations(fold.sequence, _LATELY))
    view = fold.view()
    return view.main.changes, view.agreements


def _last_space(store: Store) -> int:
    """0 for an empty log."""
    space, sequence = 0, store.compaction().mark()
    while events := store.events(sequence, _PAGE):
        space, sequence = events[-1].embedding_space, events[-1].sequence
    return space
