from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn

from classifier_training.data import Examples
from classifier_training.data.files import load_prompts
from classifier_training.encoders import load_encoder
from classifier_training.encoders.compact import CompactShape, pool_pairs
from classifier_training.encoders.loading import compact
from classifier_training.encoders.packaged import EncoderError
from classifier_training.encoders.readback import read_encoder, read_heads
from classifier_training.model import Classifier, Heads, LossWeights, consistency_loss, raised
from classifier_training.text import prompt_encoder
from classifier_training.training.fit import FitOptions, plan
from classifier_training.training.frozen import fit_success
from classifier_training.training.pipeline import TrainOptions, train
from classifier_training.training.taught import TEACHER_FOLDER, train_taught
from classifier_training.training.teachers import learn_from
from classifier_training.training.workers import TrainingError
from router_backend.classifier.artifact import Artifact, Predictions
from router_backend.contract import CARD_FILE, TASKS

SHAPE = CompactShape(layers=2, rank=16, feed_forward=32, pool_after=1)


def unlabelled(texts: list[str]) -> Examples:
    return Examples(
        texts,
        np.full(len(texts), -1),
        np.array(["s"] * len(texts)),
        np.array(["en"] * len(texts)),
        np.full(len(texts), np.nan, dtype=np.float32),
        np.empty((len(texts), 0), dtype=np.float32),
    )


@pytest.fixture(scope="module")
def student(train_options: TrainOptions, artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student of the tiny encoder, taught by the tiny artifact."""
    folder = tmp_path_factory.mktemp("student")
    fit = replace(train_options.fit, perturbed=0.3)
    train(replace(train_options, out=folder, student=SHAPE, teachers=(artifact,), fit=fit))
    return folder


def test_one_command_makes_teacher_and_student(train_options: TrainOptions, tmp_path: Path) -> None:
    options = replace(train_options, out=tmp_path, student=SHAPE, fit=replace(train_options.fit, epochs=3))
    train_taught(options, 2, lambda stage: lambda step, steps, loss: None, epochs=2)
    teacher, taught = Artifact(tmp_path / TEACHER_FOLDER).metadata, Artifact(tmp_path).metadata
    assert taught.manifest["options"]["teachers"] == [f"{teacher.embedding_space:x}"]  # type: ignore[index]
    assert [each.manifest["options"]["fit"]["epochs"] for each in (teacher, taught)] == [2, 3]  # type: ignore[index]
    assert (tmp_path / "card.md").is_file()
    before = (tmp_path / TEACHER_FOLDER / "model.onnx").stat().st_mtime_ns
    train_taught(options, 2, lambda stage: lambda step, steps, loss: None)  # exports again from the checkpoint
    assert (tmp_path / TEACHER_FOLDER / "model.onnx").stat().st_mtime_ns == before
    assert Artifact(tmp_path).metadata.embedding_space == taught.embedding_space
    with pytest.raises(TrainingError, match="use it with --student"):
        train_taught(replace(options, student=None), 2, lambda stage: lambda step, steps, loss: None)


def test_a_student_of_full_size_says_what_its_encoder_says(encoder_folder: Path) -> None:
    whole = load_encoder(str(encoder_folder), layers=None)
    same = compact(whole, ["cats"], CompactShape(layers=2, rank=32, feed_forward=64, pool_after=0))
    ids = torch.tensor([[0, 10, 11, 12, 2, 1, 1], [0, 13, 14, 15, 16, 17, 2]])
    mask = (ids != 1).long()
    with torch.no_grad():
        expected = whole.module(input_ids=ids, attention_mask=mask).last_hidden_state
        found = same.module(input_ids=ids, attention_mask=mask).last_hidden_state
    torch.testing.assert_close(found[mask.bool()], expected[mask.bool()], rtol=1e-3, atol=1e-4)


def test_more_neurons_than_the_encoder_has_are_refused(encoder_folder: Path) -> None:
    whole = load_encoder(str(encoder_folder), layers=None)
    for shape in (replace(SHAPE, layers=3), replace(SHAPE, feed_forward=65), replace(SHAPE, rank=33)):
        with pytest.raises(EncoderError, match="has"):
            compact(whole, ["cats"], shape)


def test_pairs_of_tokens_are_pooled_and_padding_counts_nothing() -> None:
    states = torch.tensor([[[1.0], [3.0], [5.0], [9.0], [9.0]]])
    pooled, weights = pool_pairs(states, torch.tensor([[1.0, 1.0, 1.0, 0.0, 0.0]]))
    assert pooled.flatten().tolist() == [2.0, 5.0, 0.0]
    assert weights.tolist() == [[2.0, 1.0, 0.0]]


def test_a_student_is_an_artifact_like_any_other(student: Path, prompts_file: Path) -> None:
    served = Artifact(student)
    rows = load_prompts([str(prompts_file)])
    predictions = served.predict(rows.texts)
    assert (predictions.probabilities.argmax(axis=1) == rows.tasks).mean() > 0.8
    assert (
        served.metadata.embedding_space == Artifact(student, model_file="model.float32.onnx").metadata.embedding_space
    )
    assert "student of" in (student / CARD_FILE).read_text(encoding="utf-8")
    assert served.metadata.manifest["encoder"]["layers"] == 2  # type: ignore[index]
    operators = [node.op_type for node in onnx.load(str(student / "model.onnx")).graph.node]
    assert operators.count("QAttention") == 2
    assert operators.count("LayerNormalization") == 1  # of the heads; the others are fused with the sum before them


def test_padding_of_a_student_changes_nothing_in_float32(student: Path) -> None:
    plain = Artifact(student, model_file="model.float32.onnx")
    for length in (3, 4, 5, 6):
        ids = np.arange(5, 5 + length, dtype=np.int64)[None]
        padded = np.pad(ids, ((0, 0), (0, 8 - length)), constant_values=1)
        mask = (np.arange(8) < length).astype(np.int64)[None]
        short, long = plain.run(ids, np.ones_like(ids)), plain.run(padded, mask)
        np.testing.assert_allclose(short.embedding, long.embedding, atol=1e-4)
        np.testing.assert_allclose(short.probabilities, long.probabilities, atol=1e-5)


def test_heads_and_projection_stay_float32(student: Path) -> None:
    names = {item.name: item.data_type for item in onnx.load(str(student / "model.onnx")).graph.initializer}
    heads = {name: kind for name, kind in names.items() if "heads" in name or name == "matrix"}
    assert heads
    assert set(heads.values()) == {onnx.TensorProto.FLOAT}


def test_what_a_teacher_has_said_of_a_text_is_not_asked_again(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "lessons.npz"
    asked: list[str] = []
    predict = Artifact.predict

    def counted(teacher: Artifact, texts: Sequence[str], *args: Any, **options: Any) -> Predictions:
        asked.extend(texts)
        return predict(teacher, texts, *args, **options)

    monkeypatch.setattr(Artifact, "predict", counted)
    texts = ["give me ten ideas", "hello", "give me ten ideas"]
    first = learn_from([artifact, artifact], texts, lambda *_: None, cache)
    assert asked == ["give me ten ideas", "hello"] * 2
    assert first.tasks.shape == (3, len(TASKS))
    assert first.embedding.shape == (3, 256)
    torch.testing.assert_close(first.embedding[2], first.embedding[0])
    asked.clear()
    again = learn_from([artifact, artifact], ["hello", "compute one plus one"], lambda *_: None, cache)
    assert asked == ["compute one plus one"] * 2
    torch.testing.assert_close(again.embedding[0], first.embedding[1])
    asked.clear()
    learn_from([artifact], ["hello"], lambda *_: None, cache)
    assert asked == ["hello"]  # other teachers


def test_a_teacher_reads_no_more_of_a_text_than_its_student(artifact: Path) -> None:
    text = "write a short story about cats and tea and rain"
    whole, short = (learn_from([artifact], [text], lambda *_: None, max_tokens=most) for most in (None, 8))
    again = learn_from([artifact], [text], lambda *_: None, max_tokens=500)
    assert not torch.equal(whole.embedding, short.embedding)
    torch.testing.assert_close(again.embedding, whole.embedding)


def test_two_forms_of_a_request_stand_in_one_batch(encoder_folder: Path) -> None:
    encoder = load_encoder(str(encoder_folder), layers=None)
    reader = prompt_encoder(encoder.tokenizer, encoder.prefix, 32)
    texts = [f"please sort the list number {number} for me" for number in range(40)]
    for batch in islice(plan(reader, unlabelled(texts), FitOptions(perturbed=0.5, batch_tokens=200)), 12):
        second = batch.rows[len(batch.rows) - len(batch.twice) :]
        assert batch.rows[batch.twice].tolist() == second.tolist()
        assert len(batch.ids) == len(batch.rows)
        plain = batch.ids[: len(batch.ids) - len(batch.twice)]
        assert plain == [reader.ids(texts[row])[0] for row in batch.rows[: len(plain)]]


def test_only_labelled_rows_are_asked_for_a_form_of_the_answer(encoder_folder: Path) -> None:
    """Nobody knows what models would have answered to a question with another form."""
    encoder = load_encoder(str(encoder_folder), layers=None)
    reader = prompt_encoder(encoder.tokenizer, encoder.prefix, 256)
    rows = unlabelled([f"please sort the list number {number} for me" for number in range(40)])
    rows.tasks[:20] = 3
    longer = {True: 0, False: 0}
    for batch in islice(plan(reader, rows, FitOptions(perturbed=1.0, constrained=1.0, batch_tokens=2000)), 6):
        second = slice(len(batch.ids) - len(batch.twice), None)
        for row, ids, demands in zip(batch.rows[batch.twice], batch.ids[second], batch.demands[second], strict=True):
            longer[bool(row < 20)] += len(ids) > 70
            assert not demands or row < 20
    assert longer[True] > 10
    assert longer[False] == 0


def test_each_demand_on_the_form_of_an_answer_makes_a_request_harder() -> None:
    known = torch.tensor([0.2, 0.2, 0.2, 0.0, 1.0, float("nan")])
    found = raised(known, torch.tensor([0.0, 1.0, 3.0, 2.0, 2.0, 1.0]), LossWeights())
    assert found[0] == known[0]
    assert known[0] < found[1] < found[2] < 0.5
    assert 0 < found[3] < 0.05
    assert 0.95 < found[4] <= 1
    assert found[5].isnan()


def test_forms_that_are_answered_alike_cost_nothing() -> None:
    torch.manual_seed(0)
    tasks, pooled = torch.randn(3, 12), torch.randn(3, 8)
    twice = torch.tensor([2, 0])
    alike = consistency_loss(torch.cat([tasks, tasks[twice]]), torch.cat([pooled, 2 * pooled[twice]]), twice)
    other = consistency_loss(torch.cat([tasks, tasks[:2]]), torch.cat([pooled, pooled[twice]]), twice)
    turned = consistency_loss(torch.cat([tasks, tasks[twice]]), torch.cat([pooled, -pooled[twice]]), twice)
    assert abs(float(alike)) < 1e-6
    assert float(other) > 0.1
    assert float(turned) == pytest.approx(2.0, abs=1e-5)


def test_the_success_head_learns_from_rows_that_fine_tuning_did_not_read() -> None:
    torch.manual_seed(0)
    model = Classifier(nn.Identity(), Heads(8, 2))
    pooled = torch.randn(400, 8).numpy()
    success = np.column_stack([pooled[:, 0] > pooled.mean(axis=1), np.full(400, np.nan)]).astype(np.float32)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fit_success(model, pooled, success)
    with torch.no_grad():
        said = model.eval().heads(torch.from_numpy(pooled)).success[:, 0].numpy() > 0
    assert (said == (success[:, 0] > 0)).mean() > 0.95
    for name, value in model.state_dict().items():
        rows = slice(1, None) if "success" in name else slice(None)  # nobody knows the second model's answers
        torch.testing.assert_close(value[rows], before[name][rows])


def test_sources_left_out_are_neither_trained_nor_calibrated_on(train_options: TrainOptions, tmp_path: Path) -> None:
    options = replace(
        train_options,
        out=tmp_path,
        left_out=("source0",),
        calibration_sources=(),
        mode="frozen",
    )
    train(options)
    assert "source0" not in Artifact(tmp_path).metadata.manifest["rows"]["by_source"]  # type: ignore[index]


def _unfused(artifact: Path, folder: Path) -> Path:
    """int8 without fused attention, as artifacts were before."""
    quantize_dynamic(
        artifact / "model.float32.onnx", folder / "model.onnx", per_channel=True, weight_type=QuantType.QInt8
    )
    return folder / "model.onnx"


def test_the_encoder_of_an_artifact_is_read_back(artifact: Path, student: Path, tmp_path: Path) -> None:
    for model_file, folder, products, pool_after in (
        (_unfused(artifact, tmp_path), artifact, 12, 0),
        (artifact / "model.onnx", artifact, 12, 0),
        (student / "model.onnx", student, 13, 1),  # one more: the projection of the words
    ):
        weights, heads, pooled = read_encoder(model_file)
        exact = torch.load(folder / "checkpoint.pt", weights_only=True)["model"]
        for name, values in weights.items():
            torch.testing.assert_close(values, exact[f"encoder.{name}"], rtol=0, atol=0.02)
        matrices = [name for name, values in weights.items() if values.ndim == 2 and "embeddings" not in name]
        assert len(matrices) == products
        assert heads in (None, 2)
        assert pooled == pool_after


def test_the_heads_of_an_artifact_are_read_back(student: Path, artifact: Path, tmp_path: Path) -> None:
    for model_file, folder in ((student / "model.onnx", student), (_unfused(artifact, tmp_path), artifact)):
        exact = torch.load(folder / "checkpoint.pt", weights_only=True)["model"]
        for name, values in read_heads(model_file).items():
            if not name.startswith("success"):  # fitted once more after the checkpoint
                torch.testing.assert_close(values, exact[f"heads.{name}"], rtol=0, atol=0.03)


def test_training_goes_on_from_a_served_artifact_without_its_checkpoint(
    student: Path, train_options: TrainOptions, prompts_file: Path, tmp_path: Path
) -> None:
    served = tmp_path / "served"
    served.mkdir()
    for name in ("model.onnx", "tokenizer.json"):
        shutil.copy(student / name, served)
    fit = replace(train_options.fit, epochs=0.05, encoder_rate=1e-6, head_rate=1e-6)
    train(replace(train_options, out=tmp_path / "next", warm_start=served, fit=fit))
    old, new = Artifact(served), Artifact(tmp_path / "next")
    assert new.metadata.tokenizer_sha256 == old.metadata.tokenizer_sha256
    texts = load_prompts([str(prompts_file)]).texts[::7]
    before, after = old.predict(texts), new.predict(texts)
    assert (before.probabilities.argmax(1) == after.probabilities.argmax(1)).mean() > 0.95


@pytest.mark.parametrize("teachers", [0, 2])
def test_a_taught_training_goes_on_with_other_teachers_or_none(
    teachers: int, student: Path, artifact: Path, train_options: TrainOptions, tmp_path: Path
) -> None:
    fit = replace(train_options.fit, epochs=0.2)
    options = replace(train_options, student=SHAPE, layers=None, warm_start=student, averaged=(student,), fit=fit)
    train(replace(options, out=tmp_path / "next", teachers=(artifact,) * teachers))
    assert Artifact(tmp_path / "next").metadata.embedding_space != Artifact(student).metadata.embedding_space


def test_a_folder_with_nothing_to_start_from_is_an_error(train_options: TrainOptions, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="missing"):
        train(replace(train_options, out=tmp_path / "next", warm_start=tmp_path))


def test_a_student_is_no_encoder_for_another_student(student: Path) -> None:
    with pytest.raises(EncoderError, match="--warm-start"):
        compact(load_encoder(str(student), layers=None), ["cats"], SHAPE)
