"""Which tasks an artifact has, and which an embedding space stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from router_backend.classifier.artifact import artifact_metadata
from router_backend.classifier.tasks import KnownTasks
from router_backend.contract import MODEL_FILE, TASK_PLACES, TASKS, ContractError, unusable_tasks
from tests.support.artifacts import make_artifact

OWN = ("triage", "reply", "digest", "lookup")


def test_an_artifact_says_its_own_tasks(tmp_path: Path) -> None:
    assert artifact_metadata(make_artifact(tmp_path / "own", tasks=OWN)).tasks == OWN


@pytest.mark.parametrize(
    ("tasks", "says"),
    [
        (("only",), "places for 2 to 12"),
        (tuple(f"task{n}" for n in range(TASK_PLACES + 1)), "places for 2 to 12"),
        (("a", "b", "a"), "named twice"),
        (("Big Task", "b"), "'Big Task' can't be a task"),
        (("none", "b"), "not `none`"),
        ((3, "b"), "3 can't be a task"),
    ],
)
def test_tasks_that_nothing_could_be_done_with_are_refused(tmp_path: Path, tasks: tuple[str, ...], says: str) -> None:
    assert says in unusable_tasks(tasks)
    with pytest.raises(ContractError, match=says):
        artifact_metadata(make_artifact(tmp_path / "own", tasks=tasks))


def test_each_version_of_a_repository_says_what_its_embedding_space_is_of(tmp_path: Path) -> None:
    make_artifact(tmp_path / "1", space=1)
    known = KnownTasks(tmp_path)
    assert known.of(1) == TASKS
    assert known.of(2) == TASKS  # of no version
    make_artifact(tmp_path / "2", tasks=OWN, space=2)  # promoted
    assert known.of(2) == OWN
    assert known.of(1) == TASKS


def test_a_version_that_is_still_being_written_is_read_when_it_is_whole(tmp_path: Path) -> None:
    folder = make_artifact(tmp_path / "1", tasks=OWN, space=1)
    whole = (folder / MODEL_FILE).read_bytes()
    (folder / MODEL_FILE).write_bytes(whole[:100])
    known = KnownTasks(tmp_path)
    assert known.of(1) == TASKS
    (folder / MODEL_FILE).write_bytes(whole)
    assert known.of(1) == OWN
