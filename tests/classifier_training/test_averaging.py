from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import typer
from torch import Tensor, nn
from typer.testing import CliRunner

from classifier_training.commands import train as train_command
from classifier_training.encoders import load_encoder
from classifier_training.encoders.readback import read_heads
from classifier_training.training.averaging import CHECKPOINT_FILE, WeightMean, average_with
from classifier_training.training.fit import fit, new_classifier
from classifier_training.training.pipeline import TrainOptions, load_examples, train
from classifier_training.training.workers import TrainingError
from router_backend.classifier.artifact import Artifact
from router_backend.contract import MODEL_FILE


def test_the_mean_of_the_last_steps_is_what_remains(train_options: TrainOptions) -> None:
    examples = load_examples(train_options)
    encoder = load_encoder(train_options.encoder, layers=None)
    model = new_classifier(encoder, len(examples.models), 0)
    seen: list[Tensor] = []
    options = replace(train_options.fit, epochs=0.5, average=0.5)
    fit(model, encoder, examples, options, lambda *_: seen.append(model.heads.tasks.bias.detach().clone()))
    half = len(seen) - round(0.5 * len(seen))
    torch.testing.assert_close(model.heads.tasks.bias.detach(), torch.stack(seen[half:]).mean(0))
    assert not torch.allclose(model.heads.tasks.bias.detach(), seen[-1])


def test_what_is_not_trained_is_not_averaged() -> None:
    layer, mean = nn.Linear(2, 2), WeightMean()
    layer.bias.requires_grad_(False)
    mean.give(layer)  # of nothing: the layer keeps what it has
    mean.add(layer)
    assert list(mean.weights) == ["weight"]


@pytest.fixture(scope="module")
def two(train_options: TrainOptions, artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two trainings that went on from the same weights."""
    folders = [tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("other")]
    for seed, folder in enumerate(folders):
        train(
            replace(
                train_options, out=folder, warm_start=artifact, fit=replace(train_options.fit, epochs=0.2, seed=seed)
            )
        )
    return folders


def test_trainings_with_one_start_are_averaged_into_an_artifact(
    train_options: TrainOptions, two: list[Path], tmp_path: Path
) -> None:
    mean = replace(
        train_options,
        out=tmp_path,
        warm_start=two[0],
        averaged=(two[1],),
        fit=replace(train_options.fit, epochs=0),
    )
    train(mean)
    weights = [torch.load(folder / CHECKPOINT_FILE, weights_only=True)["model"] for folder in two]
    examples = load_examples(train_options)
    model = new_classifier(load_encoder(train_options.encoder, layers=None), len(examples.models), 0)
    model.load_state_dict(weights[0])
    average_with(model, [two[1]])
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, (weights[0][name] + weights[1][name]) / 2)
    heads = read_heads(tmp_path / MODEL_FILE)
    torch.testing.assert_close(heads["tasks.weight"], model.heads.tasks.weight.detach())
    assert Artifact(tmp_path).metadata.tokenizer_sha256 == Artifact(two[0]).metadata.tokenizer_sha256


def test_an_artifact_without_a_checkpoint_is_averaged_with(
    train_options: TrainOptions, artifact: Path, two: list[Path], tmp_path: Path
) -> None:
    served = tmp_path / "served"
    served.mkdir()
    for name in ("model.onnx", "tokenizer.json"):
        shutil.copy(artifact / name, served)
    examples = load_examples(train_options)
    model = new_classifier(load_encoder(train_options.encoder, layers=None), len(examples.models), 0)
    one, start = (torch.load(folder / CHECKPOINT_FILE, weights_only=True)["model"] for folder in (two[0], artifact))
    model.load_state_dict(one)
    average_with(model, [served])
    name = "heads.tasks.weight"
    torch.testing.assert_close(model.state_dict()[name], (one[name] + start[name]) / 2, rtol=0, atol=0.02)


def test_a_training_of_another_size_is_not_averaged_with(
    train_options: TrainOptions, two: list[Path], tmp_path: Path
) -> None:
    options = replace(train_options, out=tmp_path, warm_start=two[0], averaged=(tmp_path / "other",))
    other = torch.load(two[1] / CHECKPOINT_FILE, weights_only=True)
    del other["model"]["heads.tasks.bias"]
    (tmp_path / "other").mkdir()
    torch.save(other, tmp_path / "other" / CHECKPOINT_FILE)
    with pytest.raises(TrainingError, match=r"heads\.tasks\.bias"):
        train(options)


def test_what_averages_with_nothing_is_refused(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(train_command)
    result = CliRunner().invoke(app, ["--out", str(tmp_path), "--average-with", str(tmp_path)])
    assert result.exit_code == 2
    assert "--warm-start" in result.output
