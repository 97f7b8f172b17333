from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from transformers import BertModel
from typer.testing import CliRunner

from classifier_training.data.files import load_prompts, load_routing
from classifier_training.encoders import load_encoder
from classifier_training.training.fit import fit, new_classifier
from classifier_training.training.pipeline import CHECKPOINT_FILE, TrainOptions, load_examples, train
from classifier_training.training.workers import TrainingError
from router_backend.classifier.artifact import Artifact
from router_backend.cli.main import app
from router_backend.contract import CARD_FILE, EMBEDDING_DIM, TASKS


def test_an_artifact_fulfils_the_contract_and_knows_its_tasks(artifact: Path, prompts_file: Path) -> None:
    served = Artifact(artifact)
    rows = load_prompts([str(prompts_file)])
    predictions = served.predict(rows.texts)
    assert predictions.probabilities.shape == (300, len(TASKS))
    np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1, atol=1e-5)
    assert predictions.embedding.shape == (300, EMBEDDING_DIM)
    assert ((predictions.complexity >= 0) & (predictions.complexity <= 1)).all()
    assert (predictions.probabilities.argmax(axis=1) == rows.tasks).mean() > 0.9
    assert served.metadata.precision == "int8"
    assert served.metadata.embedding_space > 0
    assert "prompts.csv" in served.metadata.manifest["files"]  # type: ignore[operator]


def test_the_graph_can_be_read_by_the_onnxruntime_of_the_base_image(artifact: Path) -> None:
    for name in ("model.onnx", "model.float32.onnx"):
        model = onnx.load(str(artifact / name))
        assert model.ir_version <= 10
        assert all(entry.version <= 20 for entry in model.opset_import)


def test_attention_is_fused(artifact: Path) -> None:
    """One operator a layer of the tiny encoder's two; without it the forward pass is slower, and nothing says so."""
    operators = [node.op_type for node in onnx.load(str(artifact / "model.onnx")).graph.node]
    assert operators.count("QAttention") == 2
    assert operators.count("Softmax") == 1  # of the tasks


def test_norms_are_operators_that_every_onnxruntime_runs_fast(artifact: Path) -> None:
    """Of the two that stand for a whole norm, one is slow up to 1.27 and the other since 1.28."""
    nodes = onnx.load(str(artifact / "model.onnx")).graph.node
    whole = [node for node in nodes if node.op_type in ("LayerNormalization", "SkipLayerNormalization")]
    assert [node.input[1] for node in whole] == ["model.heads.norm.weight"]  # over one vector


def test_both_precisions_share_an_embedding_space(artifact: Path) -> None:
    plain, small = Artifact(artifact, model_file="model.float32.onnx"), Artifact(artifact)
    assert plain.metadata.embedding_space == small.metadata.embedding_space
    ids = np.full((3, 8), 5, dtype=np.int64)
    (space,) = small.session.run(["embedding_space"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})
    assert space.dtype == np.int64
    assert space.tolist() == [[small.metadata.embedding_space]] * 3


def test_padding_changes_nothing_in_float32(artifact: Path) -> None:
    plain = Artifact(artifact, model_file="model.float32.onnx")
    ids = np.array([[0, 10, 11, 12, 2]], dtype=np.int64)
    padded = np.pad(ids, ((0, 0), (0, 11)), constant_values=1)
    mask = np.zeros_like(padded)
    mask[0, :5] = 1
    short, long = plain.run(ids, np.ones_like(ids)), plain.run(padded, mask)
    np.testing.assert_allclose(short.embedding, long.embedding, atol=1e-4)
    np.testing.assert_allclose(short.probabilities, long.probabilities, atol=1e-5)


def test_the_embedding_is_ordered_by_variance_and_tells_which_model_succeeds(
    artifact: Path, train_options: TrainOptions
) -> None:
    texts = load_examples(train_options).texts
    embedding = Artifact(artifact, model_file="model.float32.onnx").predict(texts).embedding
    variance = embedding.var(axis=0)
    assert variance[:8].sum() > 0.5 * variance.sum()
    maths = embedding[[index for index, text in enumerate(texts) if text.startswith("compute")]]
    answers = embedding[[index for index, text in enumerate(texts) if text.startswith("what is")]]
    gap = np.linalg.norm(maths[:, :32].mean(axis=0) - answers[:, :32].mean(axis=0))
    assert gap > 2 * np.linalg.norm(maths[:, :32].std(axis=0))


def test_routing_rows_of_the_eval_split_are_never_trained_on(train_options: TrainOptions) -> None:
    examples = load_examples(train_options)
    routed = examples.select(examples.tasks < 0)
    assert len(routed) == 60
    np.testing.assert_allclose(routed.difficulty, 1 - routed.success.mean(axis=1), atol=1e-6)


def test_a_prompt_that_routing_is_measured_on_is_not_learned_with_other_white_space_either(
    train_options: TrainOptions, tmp_path: Path
) -> None:
    measured = load_routing(train_options.routing, split="eval").texts[0]
    spaced = "\n " + measured.replace(" ", "  ")
    path = tmp_path / "prompts.csv"
    path.write_text(f'text,task\n"{spaced}",math\nhello there,chatbot\n')
    texts = load_examples(replace(train_options, data=(str(path),), own_corpus=False)).texts
    assert "hello there" in texts
    assert spaced not in texts


def test_the_card_says_what_was_trained_on_what(artifact: Path) -> None:
    card = (artifact / CARD_FILE).read_text(encoding="utf-8")
    assert "| bench |" in card
    assert '"seed": 0' in card


class Stop(Exception):
    pass


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_an_interrupted_training_goes_on_and_ends_with_the_same_weights(
    train_options: TrainOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, average: float
) -> None:
    monkeypatch.setattr("classifier_training.training.fit._CHECKPOINT_EVERY", 5)
    examples = load_examples(train_options)
    options = replace(train_options.fit, epochs=1.0, average=average)

    def stop_at(step: int, steps: int, loss: float) -> None:
        if step == 8:
            raise Stop

    def run(checkpoint: Path | None, interrupt: bool) -> dict[str, torch.Tensor]:
        encoder = load_encoder(train_options.encoder, layers=None)
        model = new_classifier(encoder, len(examples.models), 0)
        if interrupt:
            with pytest.raises(Stop):
                fit(model, encoder, examples, options, stop_at, checkpoint)
        else:
            fit(model, encoder, examples, options, checkpoint=checkpoint)
        return model.state_dict()

    whole = run(None, interrupt=False)
    run(tmp_path / CHECKPOINT_FILE, interrupt=True)
    # The checkpoint holds for any device.
    options = replace(options, device="cpu:0")
    resumed = run(tmp_path / CHECKPOINT_FILE, interrupt=False)
    for name, tensor in whole.items():
        torch.testing.assert_close(resumed[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize("device", ["cuda:99", "abacus"])
def test_a_device_that_is_not_there_is_an_error(train_options: TrainOptions, tmp_path: Path, device: str) -> None:
    with pytest.raises(TrainingError, match=f"--device {device}"):
        train(replace(train_options, out=tmp_path, fit=replace(train_options.fit, device=device)))


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Of torch; the suite has one."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_the_same_command_twice_gives_the_same_artifact(
    train_options: TrainOptions, tmp_path: Path, two_threads: None
) -> None:
    """On one machine with as many threads: the id of the embedding space is a hash of all weights."""
    options = replace(train_options, fit=replace(train_options.fit, epochs=1.0))
    spaces = set()
    for name in ("first", "second"):
        train(replace(options, out=tmp_path / name))
        spaces.add(Artifact(tmp_path / name).metadata.embedding_space)
    assert len(spaces) == 1


def test_a_checkpoint_of_another_run_is_refused(train_options: TrainOptions, artifact: Path) -> None:
    other = replace(train_options, out=artifact, fit=replace(train_options.fit, seed=7))
    with pytest.raises(TrainingError, match="other options or data"):
        train(other)


def test_a_warm_start_keeps_the_tokenizer_and_moves_to_a_new_space(
    train_options: TrainOptions, artifact: Path, tmp_path: Path
) -> None:
    options = replace(
        train_options, out=tmp_path, warm_start=artifact, fit=replace(train_options.fit, epochs=0.2, seed=1)
    )
    train(options)
    old, new = Artifact(artifact).metadata, Artifact(tmp_path).metadata
    assert new.tokenizer_sha256 == old.tokenizer_sha256
    assert new.embedding_space != old.embedding_space


def test_the_own_corpus_alone_trains_heads_on_a_frozen_encoder(train_options: TrainOptions, tmp_path: Path) -> None:
    options = replace(
        train_options,
        out=tmp_path,
        mode="frozen",
        encoder="packaged",
        layers=1,
        data=(),
        routing=(),
        own_corpus=True,
        cap=12,
    )
    result = train(options)
    assert result.scores["held_out_accuracy"] > 4 / len(TASKS)
    assert set(Artifact(tmp_path).metadata.manifest["rows"]["by_language"]) == {"en", "ja"}  # type: ignore[index]
    assert not (tmp_path / CHECKPOINT_FILE).exists()


def test_an_encoder_with_outliers_is_exported_within_the_tolerance(
    train_options: TrainOptions, encoder_folder: Path, tmp_path: Path
) -> None:
    """Eight bits for a whole tensor leave little for its other values: published encoders are like this."""
    encoder = BertModel.from_pretrained(encoder_folder, add_pooling_layer=False)
    with torch.no_grad():
        for layer in encoder.encoder.layer:
            layer.intermediate.dense.bias[0] += 4000.0
            layer.output.dense.weight[:, 0] /= 4000.0
    encoder.save_pretrained(tmp_path / "outliers")
    load_encoder(str(encoder_folder), layers=None).tokenizer.save(str(tmp_path / "outliers" / "tokenizer.json"))
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (encoder_folder / name).is_file():
            shutil.copy(encoder_folder / name, tmp_path / "outliers")
    result = train(replace(train_options, out=tmp_path / "artifact", mode="frozen", encoder=str(tmp_path / "outliers")))
    assert result.equality.int8_close
    assert Artifact(tmp_path / "artifact").metadata.precision == "int8"


@pytest.mark.parametrize(
    "option",
    ["--average nan", "--epochs inf", "--teacher-epochs -1", "--layers -1", "--cap 0", "--perturbed 2", "--seed -1"],
)
def test_a_number_that_no_training_can_use_is_refused_before_hours_of_it(option: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", "--out", str(tmp_path / "artifact"), *option.split()])
    assert result.exit_code == 2
    assert option.split()[0] in result.output
    assert not (tmp_path / "artifact").exists()
