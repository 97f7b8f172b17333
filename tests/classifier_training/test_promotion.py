from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from classifier_training.data.files import load_prompts
from classifier_training.promotion.errors import PromotionError
from classifier_training.promotion.promote import PromoteOptions, promote
from classifier_training.promotion.space_map import fit_map
from classifier_training.training.pipeline import TrainOptions, train
from router_backend.classifier.artifact import Artifact, newest_artifact
from router_backend.classifier.space_map import SPACE_MAP_FILE, SpaceMap
from router_backend.contract import ContractError


@pytest.fixture(scope="module")
def newer(train_options: TrainOptions, artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("newer")
    train(replace(train_options, out=folder, warm_start=artifact, fit=replace(train_options.fit, epochs=1, seed=5)))
    return folder


@pytest.fixture
def options(artifact: Path, prompts_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PromoteOptions:
    """A repository with the artifact as version 1, and no server."""
    monkeypatch.setattr("classifier_training.promotion.promote.own_corpus", lambda: [str(prompts_file)])
    options = PromoteOptions(
        artifact=artifact, repository=tmp_path / "classifier", triton="", gate=(str(prompts_file),), tolerance=0.1
    )
    promote(options)
    return options


def test_a_new_version_comes_with_a_map_that_serving_reads(
    options: PromoteOptions, newer: Path, prompts_file: Path
) -> None:
    said = promote(replace(options, artifact=newer))
    folder = newest_artifact(options.repository)
    assert folder.name == "2"
    assert "R²" in said
    # The router reads the file. It once had other names and the transposed matrix, and no router started beside it.
    space_map = SpaceMap.load(folder / SPACE_MAP_FILE)
    old, new = Artifact(options.repository / "1"), Artifact(folder)
    assert (space_map.source, space_map.target) == (old.metadata.embedding_space, new.metadata.embedding_space)
    texts = load_prompts([str(prompts_file)]).texts
    before, after = old.predict(texts).embedding, new.predict(texts).embedding
    error = np.linalg.norm(space_map.apply(before) - after) / np.linalg.norm(after - after.mean(0))
    assert error < 0.7


def test_state_can_start_from_nothing_instead(options: PromoteOptions, newer: Path) -> None:
    said = promote(replace(options, artifact=newer, carry_state="fresh"))
    assert "starts from nothing" in said
    assert not (newest_artifact(options.repository) / SPACE_MAP_FILE).exists()


def test_a_rollback_serves_the_old_files_under_a_new_number(options: PromoteOptions, newer: Path) -> None:
    promote(replace(options, artifact=newer))
    said = promote(replace(options, artifact=None))
    folder = newest_artifact(options.repository)
    assert folder.name == "3"
    assert "version 1 again" in said
    assert (folder / "model.onnx").read_bytes() == (options.repository / "1" / "model.onnx").read_bytes()
    with pytest.raises(PromotionError, match=r"served before version 3 \(version 1 again\)"):
        promote(replace(options, artifact=None))


def test_what_was_rolled_back_from_is_not_gone_back_to(options: PromoteOptions, newer: Path) -> None:
    promote(replace(options, artifact=newer))
    promote(replace(options, artifact=None))
    promote(replace(options, artifact=newer))
    assert "version 1 again" in promote(replace(options, artifact=None))


def test_a_number_is_never_used_twice_even_after_its_folder_was_deleted(options: PromoteOptions, newer: Path) -> None:
    promote(replace(options, artifact=newer))
    shutil.rmtree(options.repository / "2")
    promote(replace(options, artifact=newer))
    assert newest_artifact(options.repository).name == "3"


def test_another_tokenizer_is_refused(options: PromoteOptions, train_options: TrainOptions, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(options.repository / "1", other)
    text = (other / "tokenizer.json").read_text()
    (other / "tokenizer.json").write_text(text + "\n")
    with pytest.raises(ContractError, match="not the one"):
        promote(replace(options, artifact=other))
    _edit_metadata(other / "model.onnx", _sha_of(options.repository / "1"), _sha_of(other))
    with pytest.raises(PromotionError, match="its tokenizer differs from the served one"):
        promote(replace(options, artifact=other))
    assert newest_artifact(options.repository).name == "1"


def test_a_worse_artifact_is_refused(options: PromoteOptions, train_options: TrainOptions, tmp_path: Path) -> None:
    worse = tmp_path / "worse"
    train(replace(train_options, out=worse, fit=replace(train_options.fit, epochs=0.05)))
    with pytest.raises(PromotionError, match="refused"):
        promote(replace(options, artifact=worse))
    assert newest_artifact(options.repository).name == "1"


def test_an_unreachable_server_leaves_the_old_version(options: PromoteOptions, newer: Path) -> None:
    with pytest.raises(PromotionError, match="did not load"):
        promote(replace(options, artifact=newer, triton="127.0.0.1:9"))
    assert newest_artifact(options.repository).name == "1"


def test_a_linear_change_of_space_is_found() -> None:
    rng = np.random.default_rng(0)
    old = rng.normal(size=(600, 128)).astype(np.float32)
    change = rng.normal(size=(128, 128)).astype(np.float32) / 10
    new = old @ change + 0.5
    space_map, r2 = fit_map(old, new, 1, 2, ridge=1e-9)
    assert r2 > 0.999
    np.testing.assert_allclose(space_map.apply(old[:5]), new[:5], atol=1e-2)


def _sha_of(folder: Path) -> str:
    from router_backend.contract import sha256_of

    return sha256_of(folder / "tokenizer.json")


def _edit_metadata(path: Path, old: str, new: str) -> None:
    model = onnx.load(str(path))
    for entry in model.metadata_props:
        entry.value = entry.value.replace(old, new)
    onnx.save(model, str(path))
