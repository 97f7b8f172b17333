"""The copy of the model repository that a machine serves: it follows the package until a promotion makes it the user's."""

from __future__ import annotations

from pathlib import Path

import pytest

from router_backend.classifier import repository
from router_backend.classifier.repository import RECORD_FILE, copied_repository, served_repository

GROUP = "instance_group [ { kind: KIND_CPU, count: 1 } ]"


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "packaged"
    for name, text in {
        "classifier/config.pbtxt": f"first\n{GROUP}\n",
        "classifier/1/model.onnx": "first",
        "router/1/model.py": "first",
        "router/1/__pycache__/model.pyc": "compiled",
        "route/1/.gitkeep": "",
    }.items():
        write(folder / name, text)
    monkeypatch.setattr(repository, "MODEL_REPOSITORY", folder)
    return folder


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_everything_that_is_served_is_copied(packaged: Path, tmp_path: Path) -> None:
    copy = copied_repository(tmp_path / "state")
    names = {str(file.relative_to(copy)) for file in copy.rglob("*") if file.is_file()}
    assert names == {"classifier/config.pbtxt", "classifier/1/model.onnx", "router/1/model.py", "route/1/.gitkeep"}


def test_an_upgrade_arrives(packaged: Path, tmp_path: Path) -> None:
    copied_repository(tmp_path)
    for name in ("router/1/model.py", "classifier/1/model.onnx"):
        write(packaged / name, "second release")
    copy = copied_repository(tmp_path)
    assert (copy / "router/1/model.py").read_text() == "second release"
    assert (copy / "classifier/1/model.onnx").read_text() == "second release"


def test_a_promoted_classifier_survives_an_upgrade(packaged: Path, tmp_path: Path) -> None:
    copy = copied_repository(tmp_path)
    write(copy / "classifier/2/model.onnx", "promoted")
    write(copy / "classifier" / RECORD_FILE, "[]")
    for name in ("classifier/1/model.onnx", "classifier/3/model.onnx", "classifier/config.pbtxt"):
        write(packaged / name, f"second release\n{GROUP}\n")
    copied_repository(tmp_path)
    assert {folder.name for folder in (copy / "classifier").iterdir() if folder.is_dir()} == {"1", "2"}
    assert (copy / "classifier/1/model.onnx").read_text() == "first"  # what a rollback goes back to
    assert (copy / "classifier/config.pbtxt").read_text().startswith("second release")


@pytest.mark.parametrize(("cores", "count"), [(0.5, 1), (2, 1), (4, 2), (16, 9)])
def test_instances_follow_the_cores(
    packaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: float, count: int
) -> None:
    monkeypatch.setattr(repository, "usable_cores", lambda: cores)
    copy = copied_repository(tmp_path)
    assert (copy / "classifier/config.pbtxt").read_text() == f"first\n{GROUP.replace('1', str(count))}\n"


def test_an_unchanged_file_is_left_alone(packaged: Path, tmp_path: Path) -> None:
    """Triton may be reading it."""
    before = (copied_repository(tmp_path) / "classifier/1/model.onnx").stat()
    after = (copied_repository(tmp_path) / "classifier/1/model.onnx").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_without_a_copy_the_packaged_repository_is_read(packaged: Path, tmp_path: Path) -> None:
    assert served_repository(tmp_path / "state") == packaged
    copy = copied_repository(tmp_path / "state")
    assert served_repository(tmp_path / "state") == copy
