"""Which version of the classifier is in use: the newest one, from one promotion to the next."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from router_backend.classifier.artifact import newest_artifact
from router_backend.classifier.space_map import SpaceMapError
from router_backend.contract import ContractError
from router_backend.core.background import kept_thread
from router_backend.steps.classifying import TextClassifier

log = logging.getLogger(__name__)
_LOOK_SECONDS = 1.0


class Following:
    """Looks once a second whether another version is there, and loads it when it is promoted."""

    def __init__(
        self,
        versions: Callable[[], Path],
        served: Path,
        classifier: TextClassifier,
        expect: Callable[[Path], None],
        promoted: Callable[[str], bool] = lambda version: True,
    ) -> None:
        """`versions`: the folder of all, where it is now; `served`: that of the one in use.

        `expect` is told the folder of a version before it is used; `promoted`: whether one that is written is to be used already.
        """
        self._versions, self._served, self._classifier = versions, served, classifier
        self._expect, self._promoted = expect, promoted
        self._unusable: Path | None = None
        self._stop = threading.Event()

    def start(self) -> None:
        kept_thread("classifier's versions", self._run).start()

    def stop(self) -> None:
        self._stop.set()

    def look(self) -> None:
        try:
            newest = newest_artifact(self._versions())
        except (ContractError, OSError):  # it is being replaced
            return
        if newest in (self._served, self._unusable) or not self._promoted(newest.name):
            return
        try:
            self._expect(newest)
            self._classifier.load(newest)
        except (ContractError, SpaceMapError) as error:
            self._unusable = newest
            log.error("version %s of the classifier isn't used for the gateway's requests: %s", newest.name, error)
            return
        self._served = newest
        log.info("the classifier's version %s is in use", newest.name)

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            self.look()
