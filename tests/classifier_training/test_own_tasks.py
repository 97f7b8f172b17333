"""Tasks of one's own: from a file to heads on a frozen encoder, an evaluation, and into service."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from classifier_training.data import DataError
from classifier_training.data.files import Columns
from classifier_training.data.taxonomy import Taxonomy, load_taxonomy
from classifier_training.evaluation.feedback_log import evaluate_log
from classifier_training.evaluation.run import EvaluateOptions, evaluate
from classifier_training.promotion.errors import PromotionError
from classifier_training.promotion.promote import PromoteOptions, promote
from classifier_training.training.adapt import adapt
from classifier_training.training.own_tasks import fit_own_tasks
from router_backend.classifier.artifact import Artifact, newest_artifact
from router_backend.classifier.space_map import SPACE_MAP_FILE
from router_backend.contract import CARD_FILE, TASK_PLACES, TASKS
from tests.classifier_training.conftest import TOPICS, WORDS

OWN = {"coding": "code_generation", "maths": "math", "prose": "text_generation", "chat": "chatbot"}
TAXONOMY = """\
tasks:
  - {name: coding, description: whatever ends in a program}
  - {name: maths}
  - {name: prose, examples: [write a short story about an old lamp, write a short story about my aunt]}
  - {name: chat}
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tasks.yaml and 60 labelled prompts of each task in own.csv."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "tasks.yaml").write_text(TAXONOMY)
    rows = (f"{WORDS[task]} {TOPICS[n % 12]} {n},{name}\n" for name, task in OWN.items() for n in range(60))
    (folder / "own.csv").write_text(f"body,kind\n{''.join(rows)}")
    return folder


@pytest.fixture(scope="module")
def taxonomy(own: Path) -> Taxonomy:
    return load_taxonomy(own / "tasks.yaml")


@pytest.fixture(scope="module")
def columns(taxonomy: Taxonomy) -> Columns:
    return Columns("body", "kind", known=taxonomy.names)


@pytest.fixture(scope="module")
def trained(
    artifact: Path, own: Path, taxonomy: Taxonomy, columns: Columns, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    result = fit_own_tasks(artifact, taxonomy, [str(own / "own.csv")], folder, lambda *_: None, columns=columns)
    assert result.accuracy > 0.9 > 0.6 > result.most_frequent
    return folder


@pytest.mark.parametrize("model_file", ["model.onnx", "model.float32.onnx"])
def test_own_tasks_take_the_first_places_and_nothing_else_changes(
    artifact: Path, trained: Path, model_file: str
) -> None:
    old, new = Artifact(artifact, model_file=model_file), Artifact(trained, model_file=model_file)
    assert new.metadata.tasks == tuple(OWN)
    texts = [f"{WORDS[task]} ink 777" for task in OWN.values()]
    before, after = old.predict(texts), new.predict(texts)
    assert after.probabilities.argmax(1).tolist() == [0, 1, 2, 3]
    assert after.probabilities.shape == (4, TASK_PLACES)
    assert not after.probabilities[:, 4:].any()
    np.testing.assert_allclose(after.probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(after.embedding, before.embedding)
    np.testing.assert_array_equal(after.complexity, before.complexity)


def test_the_graph_and_the_metadata_name_the_same_new_embedding_space(artifact: Path, trained: Path) -> None:
    old, new = Artifact(artifact), Artifact(trained)
    ids = np.ones((2, 8), np.int64)
    (said,) = new.session.run(["embedding_space"], {"input_ids": ids, "attention_mask": ids})
    assert said.tolist() == [[new.metadata.embedding_space]] * 2
    assert new.metadata.embedding_space != old.metadata.embedding_space
    assert "whatever ends in a program" in (trained / CARD_FILE).read_text(encoding="utf-8")


def test_the_same_tasks_again_are_the_same_embedding_space(
    artifact: Path, trained: Path, own: Path, taxonomy: Taxonomy, columns: Columns, tmp_path: Path
) -> None:
    space = Artifact(trained).metadata.embedding_space
    for start, out in ((artifact, tmp_path / "again"), (trained, tmp_path / "further")):
        fit_own_tasks(start, taxonomy, [str(own / "own.csv")], out, lambda *_: None, cap=20, columns=columns)
        assert Artifact(out).metadata.embedding_space == space


def test_an_evaluation_is_by_own_tasks(trained: Path, own: Path, columns: Columns, tmp_path: Path) -> None:
    options = EvaluateOptions(artifact=trained, data=(str(own / "own.csv"),), columns=columns, out=tmp_path)
    report = evaluate(options, lambda name: lambda *_: None)
    assert report["task"]["labels"] == list(OWN)  # type: ignore[index]
    assert len(report["task"]["confusion"]) == 4  # type: ignore[index]
    assert (tmp_path / "confusion.png").is_file()


def test_a_log_of_decisions_is_measured_by_the_tasks_they_were_made_by(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    lines = [
        {"task": "chat", "task_label": "chat", "tasks": list(OWN), "task_probabilities": [0.1, 0.1, 0.1, 0.7]},
        {"task": "chat", "task_label": "prose", "tasks": list(OWN), "task_probabilities": [0.1, 0.1, 0.3, 0.5]},
        {"task": "math", "task_label": "math", "tasks": []},
    ]
    log.write_text("\n".join(map(json.dumps, lines)))
    assert evaluate_log(log, tuple(OWN))["task"]["accuracy"] == 0.5  # type: ignore[index]
    assert evaluate_log(log)["rows"] == {"decisions": 1, "labelled": 1}
    with pytest.raises(DataError, match="no decision has the tasks a, b; name the classifier"):
        evaluate_log(log, ("a", "b"))


def test_too_few_prompts_of_a_task_are_named(
    artifact: Path, taxonomy: Taxonomy, columns: Columns, tmp_path: Path
) -> None:
    (tmp_path / "few.csv").write_text("body,kind\nhello,chat\n")
    with pytest.raises(DataError, match=r"coding \(0\), maths \(0\), prose \(2\), chat \(1\); give at least 5"):
        fit_own_tasks(artifact, taxonomy, [str(tmp_path / "few.csv")], tmp_path, lambda *_: None, columns=columns)


def test_on_a_few_prompts_no_accuracy_is_told(
    artifact: Path, own: Path, taxonomy: Taxonomy, columns: Columns, tmp_path: Path
) -> None:
    """Of 48 prompts four are held out: a figure of theirs would be 0, 25, 50, 75 or 100 %."""
    rows = [row for row in (own / "own.csv").read_text().splitlines()[1:] if int(row.split(",")[0].split()[-1]) < 12]
    (tmp_path / "few.csv").write_text("\n".join(["body,kind", *rows]))
    result = fit_own_tasks(
        artifact, taxonomy, [str(tmp_path / "few.csv")], tmp_path / "out", lambda *_: None, columns=columns
    )
    assert 0 < result.held_out < 10
    assert np.isnan([result.accuracy, result.most_frequent]).all()
    new = Artifact(tmp_path / "out")
    assert "own_accuracy" not in new.metadata.scores
    card = (tmp_path / "out" / CARD_FILE).read_text(encoding="utf-8")
    assert f"too few own prompts to measure: {result.held_out} held out, and a figure needs 20" in card
    assert "nan" not in card.split("# ")[1]
    assert new.predict([f"{WORDS['math']} ink 777"]).probabilities.argmax(1).tolist() == [1]


def test_the_corpus_is_no_data_for_other_tasks(trained: Path, own: Path, columns: Columns, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--taxonomy"):
        adapt(trained, [str(own / "own.csv")], tmp_path, lambda *_: None, columns=columns)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- a\n- b", "give a list `tasks`"),
        ("tasks: [a, b]", r"tasks\[0\]: give a mapping with a `name`"),
        ("tasks: [{name: a}, {name: b, weight: 3}]", "no such setting 'weight'"),
        ("tasks: [{name: a}, {name: b, examples: text}]", "`examples` is a list of texts"),
        ("tasks: [{name: a}]", "1 tasks: there are places for 2 to 12"),
        ("tasks: [{name: a}, {name: A b}]", "'A b' can't be a task"),
        ("tasks: [", "can't be read"),
        ("tasks: " + "[" * 2000 + "]" * 2000, "can't be read"),
        ("tasks: [{name: a}, {name: b}, {name: a}]", "'a' is named twice"),
        ("tasks:\n- {name: a, name: b}\n- {name: c}", r"tasks\.yaml:2: name stands here twice"),
    ],
)
def test_a_file_that_is_no_taxonomy_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "tasks.yaml").write_text(text)
    with pytest.raises(DataError, match=says):
        load_taxonomy(tmp_path / "tasks.yaml")


@pytest.fixture
def options(artifact: Path, prompts_file: Path, tmp_path: Path) -> PromoteOptions:
    """A repository with the artifact of the twelve as version 1, and no server."""
    options = PromoteOptions(
        artifact=artifact, repository=tmp_path / "classifier", triton="", gate=(str(prompts_file),)
    )
    promote(options)
    return options


def test_other_tasks_are_promoted_and_rolled_back(
    options: PromoteOptions, trained: Path, own: Path, columns: Columns
) -> None:
    promoting = replace(options, artifact=trained, gate=(str(own / "own.csv"),), columns=columns)
    said = promote(promoting)
    assert "not compared; the most frequent one: 0.250" in said
    assert "other tasks (coding, maths, prose, chat) are another context" in said
    assert not (newest_artifact(options.repository) / SPACE_MAP_FILE).exists()
    assert "same embedding space" in promote(promoting)
    assert "version 2 again" in promote(replace(options, artifact=None))
    said = promote(replace(options, artifact=None))
    assert "version 1 again" in said
    assert "other tasks (brainstorming" in said
    assert Artifact(newest_artifact(options.repository)).metadata.tasks == TASKS


def test_a_gate_that_cannot_compare_says_so(options: PromoteOptions, trained: Path) -> None:
    with pytest.raises(PromotionError, match=r"the held-out corpus has no such labels.*--gate"):
        promote(replace(options, artifact=trained, gate=()))
    assert newest_artifact(options.repository).name == "1"


def test_tasks_that_are_only_guessed_are_refused(
    options: PromoteOptions, trained: Path, columns: Columns, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("body,kind\n" + "".join(f"{WORDS['math']} {topic},chat\n" for topic in TOPICS))
    with pytest.raises(PromotionError, match="refused, since it must be better than that"):
        promote(replace(options, artifact=trained, gate=(str(wrong),), columns=columns))


def test_other_tasks_in_the_same_embedding_space_would_be_mixed(options: PromoteOptions, tmp_path: Path) -> None:
    import onnx

    other = tmp_path / "other"
    other.mkdir()
    for file in newest_artifact(options.repository).iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    model = onnx.load(str(other / "model.onnx"))
    for entry in model.metadata_props:
        entry.value = entry.value.replace('"chatbot"', '"chat"')
    onnx.save(model, str(other / "model.onnx"))
    with pytest.raises(PromotionError, match="would be mixed"):
        promote(replace(options, artifact=other))
