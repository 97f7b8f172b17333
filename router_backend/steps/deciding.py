"""The step that decides: what was classified, and the request's hints, to a decision that is logged."""

from __future__ import annotations

import contextlib
import logging
import time
from pathlib import Path
from typing import Any

from router_backend.classifier.artifact import artifact_metadata
from router_backend.classifier.space_map import SPACE_MAP_FILE, SpaceMap
from router_backend.classifier.tasks import KnownTasks
from router_backend.config import RouterConfig
from router_backend.config.agreement import CONFIGURATION, fingerprint
from router_backend.core.decision import RoutedDecision
from router_backend.core.records import Decision
from router_backend.learning.learner import Learner
from router_backend.learning.recorder import Recorder
from router_backend.prompts.hints import RoutingHints
from router_backend.routing.candidates import NoCandidate
from router_backend.routing.router import Classified, Estimate, Router, UnknownPolicy
from router_backend.routing.sessions import LastArms
from router_backend.state.backlog import Backlog
from router_backend.state.store import StoreError
from router_backend.steps.deployment import Deployment
from router_backend.steps.metrics import Instruments, RouterMetrics
from router_backend.steps.refusal import Refused

log = logging.getLogger(__name__)
_CATCH_UP_SECONDS = 20.0
_ARCHIVE_SECONDS = 30.0  # from one look at how far the archive is behind to the next


class Decider:
    """Policies, kept current by the learner, and the recorder of decisions. One thread at a time may ask."""

    def __init__(self, deployment: Deployment, artifact: Path, instruments: Instruments) -> None:
        """Returns when the log of learning has been read, or after twenty seconds.

        `artifact`: folder of the classifier in use; see `artifact_metadata` for what it raises.
        """
        self._deployment = deployment
        metadata = artifact_metadata(artifact)
        self._metrics, self._space = RouterMetrics(instruments, metadata.tasks), metadata.embedding_space
        self._tasks = KnownTasks(artifact.parent)
        self._tasks.know(metadata)
        self.tasks_of = self._tasks.of
        self._look_at_archive = time.monotonic() + _ARCHIVE_SECONDS  # an archiver begins when the router does
        self._backlog = Backlog(deployment.folder)  # its own, so that others of this process notice it
        self._recorder = Recorder(deployment.store, on_drop=self._metrics.dropped, backlog=self._backlog)
        self._learner = Learner(
            deployment.store,
            deployment.config,
            self._space,
            _space_map(artifact),
            on_poll=self._polled,
            state_dir=deployment.folder,
            tasks_of=self.tasks_of,
        )
        self._learner.start()
        self._router = Router(self._learner, self._record)
        self._last = LastArms()
        self.fingerprint = fingerprint(deployment.config)
        if not self._learner.wait_until_current(_CATCH_UP_SECONDS):
            left = self._learner.behind
            log.warning("serving before the whole log of learning has been read: %d events are left", left)

    def reload(self, config: RouterConfig) -> None:
        """Decide by another configuration from the next decision on."""
        self._learner.reload(config)
        self.fingerprint = fingerprint(config)
        log.info("router.yaml was read again: models %s", ", ".join(config.names))

    def expect(self, artifact: Path) -> None:
        """A classifier comes next, from this folder. Returns when its embedding space has been learned for, or after twenty
        seconds; raises ContractError."""
        metadata = artifact_metadata(artifact)
        space = metadata.embedding_space
        self._tasks.know(metadata)  # it may lie elsewhere than those before
        if not self._learner.expect(space, _space_map(artifact), _CATCH_UP_SECONDS):
            log.warning("the new classifier decides before the whole log of learning has been read for it")
        self._space = space

    def decide(self, rows: list[tuple[Classified, RoutingHints]], parameters: dict[str, Any]) -> list[RoutedDecision]:
        """One decision a row of a request; its parameters may name the configuration that it was made by.

        Raises:
            Refused: no model may take a row, or it names a policy that isn't configured.
        """
        try:
            decisions = [self._decide(classified, hints) for classified, hints in rows]
        except (NoCandidate, UnknownPolicy) as error:
            if parameters.get(CONFIGURATION, self.fingerprint) != self.fingerprint:
                # For the gateway, which has read another file, the request may be right.
                raise Refused("OTHER_CONFIGURATION", str(error)) from None
            raise Refused("INVALID_ARGUMENT", str(error)) from None
        if not any(hints.dry_run for _, hints in rows):
            for decision in decisions:
                self._metrics.decided(decision)
        return decisions

    def _decide(self, classified: Classified, hints: RoutingHints) -> RoutedDecision:
        hints = self._last.completed(hints)
        decision = self._router.decide(classified, hints)
        self._last.decided(hints, decision)
        return decision

    def recorded(self, decision_id: str, seconds: float) -> bool:
        """Wait until a decision of this process is durable; False if it isn't within `seconds`, or was lost."""
        return self._recorder.flush(decision_id, seconds)

    def close(self) -> None:
        """Write what is queued, and stop; the store is still open."""
        self._recorder.close()
        self._learner.close()
        self._backlog.close()

    def _record(self, decision: Decision, propensity: Estimate | None) -> None:
        self._recorder.decision(decision, propensity)
        self._deployment.implicit.decision(decision)
        if decision.shadows:
            self._metrics.shadowed(dict(decision.shadows))

    def _polled(self, up: bool) -> None:
        """Called by the learner's thread."""
        self._metrics.store_answered(up)
        self._metrics.behind(self._learner.behind)
        self._metrics.drifted()
        view = self._learner.view(self._space)
        self._metrics.changed(view.main.changes)
        self._metrics.agreed(view.agreements)
        if up and self._deployment.config.archive and time.monotonic() > self._look_at_archive:
            self._look_at_archive = time.monotonic() + _ARCHIVE_SECONDS
            with contextlib.suppress(StoreError):  # it is looked at again
                self._metrics.archive_behind(self._deployment.store.outbox().behind())


def _space_map(artifact: Path) -> SpaceMap | None:
    """That carries over what was learned with the classifier before."""
    path = artifact / SPACE_MAP_FILE
    return SpaceMap.load(path) if path.is_file() else None
