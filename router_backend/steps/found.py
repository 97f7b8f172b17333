"""What routers have found in the log of learning, for the console: cheap to ask often."""

from __future__ import annotations

import threading
import time

import orjson

from router_backend.learning.changes import found_lately
from router_backend.steps.deployment import Deployment

_SECONDS = 30.0  # that an answer is good for


class Found:
    """Changes of models and agreements of sources, read again now and then. Threads may share it."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment, self._reading = deployment, threading.Lock()
        self._told, self._until = b"", 0.0

    def told(self) -> bytes:
        """`{"changes": {model: [{at, observations, shift}]}, "agreements": {source: {pairs, agreement, bias, weight}}}`.

        Raises:
            StoreError: the store can't be read now.
        """
        with self._reading:
            if time.monotonic() >= self._until:
                changes, agreements = found_lately(self._deployment.store, self._deployment.config)
                said = {
                    "changes": {arm: [change._asdict() for change in found] for arm, found in changes.items() if found},
                    "agreements": {source: agreement._asdict() for source, agreement in agreements.items()},
                }
                self._told = orjson.dumps(said, option=orjson.OPT_SERIALIZE_NUMPY)
                self._until = time.monotonic() + _SECONDS
            return self._told
