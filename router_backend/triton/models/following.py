"""Which version of the classifier the router's own copy is: the one that Triton serves, from one promotion to the next."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from router_backend.classifier.artifact import newest_artifact
from router_backend.contract import ContractError
from router_backend.core.background import kept_thread
from router_backend.steps.classifying import TextClassifier
from router_backend.triton.models.own_server import ADDRESS, serves

log = logging.getLogger(__name__)
_LOOK_SECONDS = 1.0


class Following:
    """Looks once a second whether another version is there, and loads it when the server has."""

    def __init__(self, versions: Path, served: Path, classifier: TextClassifier) -> None:
        """`versions`: the folder of all; `served`: that of the one in use."""
        self._versions, self._served, self._classifier = versions, served.name, classifier
        self._unusable = ""

    def start(self) -> None:
        kept_thread("classifier's versions", self._run).start()

    def look(self) -> None:
        try:
            newest = newest_artifact(self._versions)
        except (ContractError, OSError):  # it is being replaced
            return
        if newest.name in (self._served, self._unusable):
            return
        address = os.environ.get(ADDRESS, "")
        # One that is written is not yet promoted: Triton may refuse it, or be told later.
        if address and not serves(address, self._versions.name, newest.name):
            return
        try:
            self._classifier.load(newest)
        except ContractError as error:
            self._unusable = newest.name
            log.error("version %s of the classifier isn't used for the gateway's requests: %s", newest.name, error)
            return
        self._served = newest.name
        log.info("the classifier's version %s is in use", newest.name)

    def _run(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            self.look()
