"""Where learning begins: the latest checkpoint of a store that can be used, or nothing."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from router_backend.classifier.space_map import SpaceMap
from router_backend.config import RouterConfig
from router_backend.contract import TASKS
from router_backend.learning.checkpoint import Checkpoint, CheckpointError
from router_backend.learning.fold import Fold
from router_backend.learning.following import Following
from router_backend.state.store import Store

GAP_ADVICE = (
    "they are in the archive alone, and no checkpoint of this configuration holds them yet; a router reads them from there by itself, or"
    " `llm-router state rebuild` does"
)
_log = logging.getLogger(__name__)


def resumed(
    store: Store, config: RouterConfig, space: int, space_map: SpaceMap | None = None, tasks: Sequence[str] = TASKS
) -> Fold:
    """A fold that has read the store's log up to a checkpoint, or none of it. StoreError if the store can't be read."""
    fold, log = Fold(config, space, space_map, tasks), store.log()
    for data in store.checkpoints(fold.key):
        fold.log = log
        try:
            fold.load(Checkpoint.decode(data))
        except CheckpointError as error:
            _log.warning("a checkpoint of what was learned is passed over: %s", error)
            fold = Fold(config, space, space_map, tasks)
        else:
            break
    fold.log = log
    return fold


def keep(store: Store, checkpoint: Checkpoint) -> bool:
    """Save a checkpoint, also for who comes with other models or policies. False: there is a later one. StoreError if it can't be."""
    log, sequence = checkpoint.log, checkpoint.sequence
    written = store.save_checkpoint(checkpoint.key, log, sequence, checkpoint.encode())
    if written:
        store.save_checkpoint(checkpoint.family, log, sequence, checkpoint.key.encode())
    return written


def inherited(
    store: Store, config: RouterConfig, space: int, space_map: SpaceMap | None = None, tasks: Sequence[str] = TASKS
) -> Fold:
    """A fold that knows what the latest checkpoint of other models or policies does of those that are configured now; where there is
    none, nothing. StoreError if the store can't be read."""
    fold, log = Fold(config, space, space_map, tasks), store.log()
    for key in store.checkpoints(fold.family):
        for data in store.checkpoints(key.decode()):
            fold.log = log
            try:
                fold.take_over(Checkpoint.decode(data))
            except CheckpointError as error:
                _log.warning("a checkpoint of other models or policies is passed over: %s", error)
                fold = Fold(config, space, space_map, tasks)
            else:
                _log.info("what other models and policies had learned by event %d is taken over", fold.sequence)
                return fold
    fold.log = log
    return fold


def followed(
    store: Store,
    config: RouterConfig,
    space: int,
    space_map: SpaceMap | None,
    following: Following,
    tasks: Sequence[str] = TASKS,
) -> Fold:
    """As `resumed`, and no event behind it will leave the log. Where some have left it already, the fold begins behind them with what
    another configuration's checkpoint knows, and isn't whole."""
    before, mark = -1, 0
    while True:
        fold = resumed(store, config, space, space_map, tasks)
        if (mark := following.follow(fold)) <= fold.sequence:
            return fold
        if fold.sequence == before:
            break
        before = fold.sequence  # the log was shortened in between; then there is a later checkpoint
    fold = inherited(store, config, space, space_map, tasks)
    fold.pass_over(mark)
    return fold
