"""Where learning begins: the latest checkpoint of a store that can be used, or nothing."""

from __future__ import annotations

import logging

from router_backend.classifier.space_map import SpaceMap
from router_backend.config import RouterConfig
from router_backend.learning.checkpoint import Checkpoint, CheckpointError
from router_backend.learning.fold import Fold
from router_backend.state.store import Store

_log = logging.getLogger(__name__)


def resumed(store: Store, config: RouterConfig, space: int, space_map: SpaceMap | None = None) -> Fold:
    """A fold that has read the store's log up to a checkpoint, or none of it. StoreError if the store can't be read."""
    fold, log = Fold(config, space, space_map), store.log()
    for data in store.checkpoints(fold.key):
        fold.log = log
        try:
            fold.load(Checkpoint.decode(data))
        except CheckpointError as error:
            _log.warning("a checkpoint of what was learned is passed over: %s", error)
            fold = Fold(config, space, space_map)
        else:
            _log.info("learning goes on from the checkpoint at event %d", fold.sequence)
            break
    fold.log = log
    return fold
