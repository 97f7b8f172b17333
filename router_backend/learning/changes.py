"""Which models the log of learning shows to have changed: what the routers that read it have found."""

from __future__ import annotations

from collections.abc import Mapping

from router_backend.bandits.statistics.change import Change
from router_backend.config import RouterConfig
from router_backend.learning.fold import Fold
from router_backend.state.store import Store

_PAGE = 5000


def changes_in(store: Store, config: RouterConfig) -> Mapping[str, tuple[Change, ...]]:
    """The main policy's findings by model, oldest first, in the embedding space of the last event; folds the whole log."""
    folds: dict[int, Fold] = {}
    fold, sequence = Fold(config, space=0), 0
    while events := store.events(sequence, _PAGE):
        sequence = events[-1].sequence
        for event in events:
            if event.embedding_space not in folds:
                folds[event.embedding_space] = Fold(config, event.embedding_space)
        for of_space in folds.values():
            of_space.fold(events)
        fold = folds[events[-1].embedding_space]
    return fold.view().main.changes
