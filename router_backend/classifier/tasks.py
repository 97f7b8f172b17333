"""Which tasks the probabilities of a decision are of: its classifier's, which an embedding space stands for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from router_backend.classifier.artifact import artifact_metadata, versions
from router_backend.contract import TASKS, ArtifactMetadata, ContractError

TasksOf = Callable[[int], tuple[str, ...]]
"""Embedding space to tasks, in the order of `task_probabilities`."""


def default_tasks(space: int) -> tuple[str, ...]:
    """Those of every classifier that isn't trained for tasks of one's own."""
    return TASKS


class KnownTasks:
    """Of the versions of one model repository; the artifacts themselves say it. Threads may share it."""

    def __init__(self, classifier: Path) -> None:
        """`classifier`: the folder of its versions."""
        self._classifier = classifier
        self._known: dict[int, tuple[str, ...]] = {}
        self._read: set[int] = set()

    def of(self, space: int) -> tuple[str, ...]:
        """The tasks of an embedding space; of one that no version has, the default. Files are read when a version is new."""
        known = self._known.get(space)
        if known is None:
            self._look()
            known = self._known.get(space, TASKS)
        return known

    def know(self, metadata: ArtifactMetadata) -> None:
        """Take in what an artifact says, wherever it lies."""
        self._known = {**self._known, metadata.embedding_space: metadata.tasks}

    def _look(self) -> None:
        for number in versions(self._classifier):
            if number in self._read:
                continue
            try:
                metadata = artifact_metadata(self._classifier / str(number))
            except (ContractError, OSError):  # it is still being written, or of another release
                continue
            self.know(metadata)
            self._read.add(number)
