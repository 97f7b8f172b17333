"""All steps of a router in one process: what Triton's models do, without Triton."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from router_backend.classifier.artifact import newest_artifact
from router_backend.classifier.repository import served_repository
from router_backend.config import RouterConfig
from router_backend.config.agreement import CONFIGURATION
from router_backend.core.decision import RoutedDecision
from router_backend.core.records import Scored
from router_backend.prompts import BadRequest
from router_backend.state.hashing import Hasher
from router_backend.steps.classifying import TextClassifier
from router_backend.steps.deciding import Decider
from router_backend.steps.deployment import Deployment
from router_backend.steps.dialect import InvalidInput, check_known
from router_backend.steps.following import Following
from router_backend.steps.metrics import Instruments, NoInstruments
from router_backend.steps.reading import HintReader
from router_backend.steps.refusal import Refused
from router_backend.steps.scoring import Scorer


class InProcess:
    """A deployment's tokenizer, classifier, policies and store. Threads may share it; each call keeps its own thread busy.

    The classifier is the one that `llm-router up` and `promote` serve with the same state folder, else the packaged one; another
    one that is promoted is used within seconds.
    """

    def __init__(
        self,
        path: Path | None = None,
        state_dir: Path | None = None,
        key: str = "",
        instruments: Instruments | None = None,
    ) -> None:
        """Returns when what was learned before has been read. `path` of router.yaml and `state_dir`: see `Deployment`;
        `key`: seals what gateways tell.

        Raises:
            ConfigError: router.yaml is wrong.
            ContractError: there is no classifier, or one of another contract.
            StoreError: the state store can't be opened.
        """
        instruments = instruments or NoInstruments()
        self._deployment = Deployment(path, state_dir)
        try:
            folder = newest_artifact(self._versions())
            self._classifier = TextClassifier(folder, self._deployment.config.routing.classifier_cache_bytes)
            self._reader = HintReader(Hasher.of(self._deployment.folder))
            self._decider = Decider(self._deployment, folder, instruments)
        except BaseException:
            self._deployment.close()
            raise
        self._scorer = Scorer(self._deployment, key, instruments)
        self._choosing = threading.Lock()
        self._deployment.watch(self._reload)
        self._following = Following(self._versions, folder, self._classifier, self._decider.expect)
        self._following.start()

    @property
    def config(self) -> RouterConfig:
        """The configuration in force."""
        return self._deployment.config

    def decide(self, row: Mapping[str, Any], parameters: Mapping[str, Any] | None = None) -> RoutedDecision:
        """The decision for inputs of `route` by name, with parameters of a request.

        Raises:
            Refused: the request is malformed, or no model may take it.
        """
        received, parameters = time.monotonic(), dict(parameters or {})
        if parameters.get(CONFIGURATION, self._decider.fingerprint) != self._decider.fingerprint:
            self._deployment.check()  # whoever asks has read a changed router.yaml
        try:
            check_known(parameters)
            text, hints = self._reader.read(dict(row), parameters, received)
        except (InvalidInput, BadRequest) as error:
            raise Refused("INVALID_ARGUMENT", str(error)) from None
        classified = self._classifier.classify(text, hints)
        with self._choosing:
            (decision,) = self._decider.decide([classified], parameters)
        return decision

    def score(self, row: dict[str, Any], parameters: Mapping[str, Any] | None = None) -> Scored:
        """What became of a score: inputs of `feedback` by name.

        Raises:
            Refused: it was not taken.
        """
        return self._scorer.score(_Given(row, parameters))

    def tell(self, row: dict[str, Any], parameters: Mapping[str, Any]) -> bytes:
        """The answer to records or a question about responses, as gateways send them.

        Raises:
            Refused: they were not taken.
        """
        return self._scorer.tell(_Given(row, parameters))

    def recorded(self, decision_id: str, seconds: float) -> bool:
        """Wait until a decision of this process is durable; False if it isn't within `seconds`, or was lost."""
        return self._decider.recorded(decision_id, seconds)

    def close(self) -> None:
        """Write what waits, for some seconds at most, and end."""
        self._following.stop()
        self._deployment.close(self._decider)

    def _versions(self) -> Path:
        """Folder of the classifier's versions; the first promotion may make another one."""
        return served_repository(self._deployment.folder) / "classifier"

    def _reload(self, config: RouterConfig) -> None:
        self._decider.reload(config)
        self._scorer.reload(config)


class _Given:
    """A request of one row that is read already."""

    def __init__(self, row: dict[str, Any], parameters: Mapping[str, Any] | None) -> None:
        self._row, self._parameters = row, dict(parameters or {})

    def rows(self) -> list[dict[str, Any]]:
        return [self._row]

    def parameters(self) -> dict[str, Any]:
        return self._parameters
