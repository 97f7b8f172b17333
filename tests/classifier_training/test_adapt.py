from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from classifier_training.data import DataError
from classifier_training.promotion.gate import check_contract
from classifier_training.training.adapt import adapt
from router_backend.classifier.artifact import Artifact
from router_backend.contract import CARD_FILE, TASKS
from tests.classifier_training.conftest import TOPICS


@pytest.fixture(scope="module")
def own_prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A company's own use of words: what the artifact takes for open questions are to be rewrites here."""
    path = tmp_path_factory.mktemp("own") / "own.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "task"])
        for index in range(200):
            topic = TOPICS[index % 12]
            writer.writerow([f"what is the capital of {topic} {index}", "rewrite"])
            writer.writerow([f"write a short story about {topic} {index}", "text_generation"])
    return path


@pytest.fixture(scope="module")
def adapted(artifact: Path, own_prompts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapted")
    result = adapt(artifact, [str(own_prompts)], folder, lambda *_: None, cap=60)
    assert result.before < 0.7 < 0.9 < result.after
    return folder


@pytest.mark.parametrize("model_file", ["model.onnx", "model.float32.onnx"])
def test_an_adapted_artifact_knows_the_own_prompts_and_changes_nothing_else(
    artifact: Path, adapted: Path, model_file: str
) -> None:
    old, new = Artifact(artifact, model_file=model_file), Artifact(adapted, model_file=model_file)
    # Numbers from 200 on are in none of the own prompts.
    unseen = [f"what is the capital of {topic} {number}" for topic in TOPICS for number in (203, 230)]
    texts = [*unseen, "hello how are you today cats"]
    before, after = old.predict(texts), new.predict(texts)
    assert {TASKS[task] for task in after.probabilities[: len(unseen)].argmax(axis=1)} == {"rewrite"}
    np.testing.assert_allclose(after.probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(after.embedding, before.embedding)
    np.testing.assert_array_equal(after.complexity, before.complexity)


def test_an_adapted_artifact_can_be_promoted_and_keeps_the_bandits_state(artifact: Path, adapted: Path) -> None:
    old, new = Artifact(artifact), Artifact(adapted)
    check_contract(new, old)
    assert new.metadata.embedding_space == old.metadata.embedding_space
    assert "own.csv" in new.metadata.manifest["adapted"]["files"]  # type: ignore[index]
    assert "Adapted" in (adapted / CARD_FILE).read_text(encoding="utf-8")


def test_an_adapted_artifact_can_be_adapted_once_more(adapted: Path, tmp_path: Path) -> None:
    path = tmp_path / "back.csv"
    rows = "".join(f"what is the capital of {TOPICS[index % 12]} {index},open_qa\n" for index in range(120))
    path.write_text(f"text,task\n{rows}", encoding="utf-8")
    adapt(adapted, [str(path)], tmp_path / "out", lambda *_: None, cap=60)
    found = Artifact(tmp_path / "out").predict(["what is the capital of jazz 777"]).probabilities
    assert TASKS[found[0].argmax()] == "open_qa"


def test_on_a_few_prompts_no_accuracy_is_told(artifact: Path, own_prompts: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.csv"
    few.write_text("\n".join(own_prompts.read_text(encoding="utf-8").splitlines()[:81]), encoding="utf-8")
    result = adapt(artifact, [str(few)], tmp_path / "out", lambda *_: None, cap=60)
    assert 0 < result.held_out < 20
    assert np.isnan([result.before, result.after]).all()
    assert "adapted_after" not in Artifact(tmp_path / "out").metadata.scores
    card = (tmp_path / "out" / CARD_FILE).read_text(encoding="utf-8")
    assert f"{result.held_out} held out, and a figure needs 20" in card


def test_without_data_there_is_nothing_to_adapt_to(artifact: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--data"):
        adapt(artifact, [], tmp_path, lambda *_: None)
