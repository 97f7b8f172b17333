"""The reader of artifacts: which version is served, and what is refused."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from router_backend.classifier.artifact import Artifact, artifact_metadata, newest_artifact, versions
from router_backend.contract import MODEL_FILE, TASKS, ContractError
from tests.support.artifacts import make_artifact


def test_the_newest_version_is_the_one_that_triton_serves(tmp_path: Path) -> None:
    """Triton ignores folders with a leading zero; what is still being written has no model file."""
    for name in ("1", "9", "10", "011", "0", "²", "new"):
        make_artifact(tmp_path / name)
    (tmp_path / "12").mkdir()
    assert versions(tmp_path) == [1, 9, 10]
    assert newest_artifact(tmp_path) == tmp_path / "10"


def test_a_repository_without_a_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="llm-router train"):
        newest_artifact(tmp_path / "nowhere")


def test_predictions_are_in_the_order_of_the_texts(tmp_path: Path) -> None:
    artifact = Artifact(make_artifact(tmp_path / "a"))
    long, short = artifact.predict(["zero one " * 6, "one"], batch=2).embedding
    assert long[0] == pytest.approx(2.5)
    assert short[0] == pytest.approx(3.0)
    assert artifact.predict([]).probabilities.shape == (0, len(TASKS))


def test_a_file_that_is_no_onnx_is_refused(tmp_path: Path) -> None:
    folder = make_artifact(tmp_path / "a")
    (folder / MODEL_FILE).write_bytes(b"half a download")
    for read in (artifact_metadata, Artifact):
        with pytest.raises(ContractError, match="can't be loaded"):
            read(folder)


@pytest.mark.parametrize(("old", "new", "says"), [('"prefix"', '"praefix"', "lacks prefix"), ("{", "[", "unreadable")])
def test_unreadable_metadata_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    folder = make_artifact(tmp_path / "a")
    model = onnx.load(str(folder / MODEL_FILE))
    model.metadata_props[0].value = model.metadata_props[0].value.replace(old, new, 1)
    onnx.save(model, str(folder / MODEL_FILE))
    with pytest.raises(ContractError, match=says):
        artifact_metadata(folder)
