"""Tasks of one's own: a file that names them, for heads in place of those of the twelve."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from classifier_training.data.examples import Examples
from router_backend.contract import unusable_tasks
from router_backend.user_files import DataError, read_yaml, repeated

_SETTINGS = ("name", "description", "examples")


@dataclass(frozen=True, slots=True)
class OwnTask:
    """A kind of request.

    Attributes:
        description: for the card; nothing is learned from it.
        examples: prompts of this task, which are learned beside the labelled files.
    """

    name: str
    description: str = ""
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """The tasks in their order, which is that of the artifact's probabilities."""

    tasks: tuple[OwnTask, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(task.name for task in self.tasks)

    def examples(self, source: str) -> Examples:
        """The examples of all tasks as labelled prompts."""
        texts = [(text, place) for place, task in enumerate(self.tasks) for text in task.examples]
        return Examples(
            [text for text, _ in texts],
            np.array([place for _, place in texts], dtype=np.int64),
            np.array([source] * len(texts), dtype=np.str_),
            np.array([""] * len(texts), dtype=np.str_),
            np.full(len(texts), np.nan, dtype=np.float32),
            np.empty((len(texts), 0), dtype=np.float32),
        )


def load_taxonomy(path: Path) -> Taxonomy:
    """Read a YAML file: `tasks`, a list of mappings with a `name`, and optionally a `description` and `examples`.

    Raises:
        DataError: it is no such file, or its names can't be the tasks of an artifact.
    """
    try:
        tree, data = read_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{path}: can't be read ({' '.join(str(error).split())})") from error
    if twice := sorted(repeated(tree)):
        line, name = twice[0]
        raise DataError(f"{path}:{line}: {name} stands here twice; keep one")
    given = data.get("tasks") if isinstance(data, dict) else None
    if not isinstance(given, list):
        raise DataError(f"{path}: give a list `tasks`, such as `tasks: [{{name: triage, description: which team}}]`")
    tasks = tuple(_task(each, f"{path}: tasks[{place}]") for place, each in enumerate(given))
    if wrong := unusable_tasks([task.name for task in tasks]):
        raise DataError(f"{path}: {wrong}")
    return Taxonomy(tasks)


def _task(given: Any, where: str) -> OwnTask:
    if not isinstance(given, dict) or "name" not in given:
        raise DataError(f"{where}: give a mapping with a `name`")
    if unknown := [key for key in given if key not in _SETTINGS]:
        raise DataError(f"{where}: no such setting '{unknown[0]}'; there are {', '.join(_SETTINGS)}")
    examples = given.get("examples") or []
    if not isinstance(examples, list) or not all(isinstance(text, str) and text.strip() for text in examples):
        raise DataError(f"{where}: `examples` is a list of texts")
    return OwnTask(given["name"], str(given.get("description") or ""), tuple(examples))
