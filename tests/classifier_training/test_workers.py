"""Several processes that share a training: on CPUs here, joined by gloo; never run on a GPU."""

from __future__ import annotations

import csv
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from classifier_training.encoders import load_encoder
from classifier_training.text import pad, prompt_encoder
from classifier_training.training.fit import Batch, Targets, new_classifier, plan, share_of
from classifier_training.training.pipeline import CHECKPOINT_FILE, TrainOptions, load_examples
from classifier_training.training.workers import TrainingError, Workers
from router_backend.classifier.artifact import Artifact

SECONDS = 1800  # watches for a hang


@pytest.mark.parametrize("count", [1, 2, 3, 40])
def test_shares_are_the_whole_batch_and_a_row_stays_with_its_second_form(count: int) -> None:
    batch = Batch(
        np.array([10, 11, 12, 13, 14, 11, 14]),
        [[row] for row in (0, 1, 2, 3, 4, 101, 104)],
        np.array([1, 4]),
        np.array([0, 0, 0, 0, 0, 101, 104], dtype=np.float32),
    )
    shares = [share_of(batch, index, count) for index in range(count)]
    assert sorted(ids[0] for share in shares for ids in share.ids) == [0, 1, 2, 3, 4, 101, 104]
    for share in shares:
        second = len(share.rows) - len(share.twice)
        np.testing.assert_array_equal(share.rows[share.twice], share.rows[second:])
        assert share.demands.tolist() == [0] * second + [ids[0] for ids in share.ids[second:]]
        assert [share.ids[place][0] + 100 for place in share.twice] == [ids[0] for ids in share.ids[second:]]


def test_gradients_of_the_shares_add_up_to_those_of_the_batch(train_options: TrainOptions) -> None:
    examples = load_examples(train_options)
    encoder = load_encoder(train_options.encoder, layers=None)
    model = new_classifier(encoder, len(examples.models), 0).eval()  # no dropout, which is random
    options = replace(train_options.fit, perturbed=0.5)
    reader = prompt_encoder(encoder.tokenizer, encoder.prefix, options.max_tokens)
    batch, targets = next(plan(reader, examples, options)), Targets.of(examples)

    def gradients(part: Batch) -> list[torch.Tensor]:
        model.zero_grad()
        ids, mask = pad(part.ids, encoder.pad)
        loss = targets.loss(model, model.pool(torch.from_numpy(ids), torch.from_numpy(mask)), part, options.loss)
        (loss * (len(part.rows) / len(batch.rows))).backward()
        return [torch.zeros(1) if each.grad is None else each.grad.clone() for each in model.parameters()]

    whole = gradients(batch)
    parts = [gradients(share_of(batch, index, 3)) for index in range(3)]
    for expected, *found in zip(whole, *parts, strict=True):
        torch.testing.assert_close(sum(found, torch.zeros(())), expected, rtol=1e-3, atol=1e-5)


def test_without_accelerate_several_processes_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(TrainingError, match="2 processes train together through 'accelerate'"):
        Workers("cpu", 2)


def test_alone_nothing_is_joined() -> None:
    parameter = nn.Parameter(torch.ones(2))
    assert Workers().add_up([parameter], 0.5, 1.0) == 0.5
    assert parameter.grad is None


def test_two_processes_train_what_one_does(train_options: TrainOptions, artifact: Path, tmp_path: Path) -> None:
    """Each with dropout of its own, so not bit by bit; the artifact is written once, and knows its tasks as well."""
    pytest.importorskip("accelerate")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = train_options.fit
    command = [sys.executable, "-c", "from router_backend.cli.main import run; run()", "train"]
    command += ["--out", str(tmp_path), "--data", train_options.data[0], "--routing", train_options.routing[0]]
    command += ["--no-own-corpus", "--encoder", train_options.encoder, "--layers", "0", "--max-tokens", "64"]
    command += [
        "--epochs",
        str(options.epochs),
        "--learning-rate",
        str(options.encoder_rate),
        "--no-bf16",
        "--threads",
        "1",
    ]
    command += ["--batch-tokens", str(options.batch_tokens), "--train-tokens", str(options.max_tokens)]
    shared = os.environ | {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    started = [
        subprocess.Popen(
            command,
            env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [process.communicate(timeout=SECONDS) for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], said
    assert str(tmp_path) in said[0][0]
    assert said[1][0] == ""
    assert (tmp_path / CHECKPOINT_FILE).is_file()
    with Path(train_options.data[0]).open(newline="", encoding="utf-8") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    alone, together = Artifact(artifact).predict(texts), Artifact(tmp_path).predict(texts)
    assert (alone.probabilities.argmax(1) == together.probabilities.argmax(1)).mean() > 0.9
