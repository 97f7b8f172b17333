"""What the log of learning shows beside the policies: which models have changed, and how far sources agree with people."""

from __future__ import annotations

from collections.abc import Mapping

from router_backend.bandits.statistics.change import Change
from router_backend.config import RouterConfig
from router_backend.core.signals import Agreement
from router_backend.learning.fold import Fold
from router_backend.state.store import Store

_PAGE = 5000


def found_in(store: Store, config: RouterConfig) -> tuple[Mapping[str, tuple[Change, ...]], Mapping[str, Agreement]]:
    """What routers have found: changes by model, oldest first, of the main policy; agreements by source.

    In the embedding space of the last event; folds the whole log.
    """
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
    view = fold.view()
    return view.main.changes, view.agreements
