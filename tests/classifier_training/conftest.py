"""A tiny encoder in a local folder and a few rows of each task, so that the whole pipeline runs in seconds."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from classifier_training.encoders.vocabulary import build_tokenizer
from classifier_training.training.fit import FitOptions
from classifier_training.training.pipeline import TrainOptions, train
from router_backend.contract import TASKS

WORDS = {
    "brainstorming": "give me ten ideas for",
    "chatbot": "hello how are you today",
    "classification": "is this review positive or negative",
    "closed_qa": "according to the text above who is",
    "code_generation": "write a python function that sorts",
    "extraction": "extract all names and dates from",
    "math": "compute the integral of x squared plus",
    "open_qa": "what is the capital of",
    "other": "translate into french the sentence",
    "rewrite": "make this paragraph more polite",
    "summarization": "summarize the following article",
    "text_generation": "write a short story about",
}
TOPICS = ("cats", "tea", "rust", "tokyo", "rain", "kites", "moss", "steel", "bread", "wolves", "ink", "jazz")


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny-encoder")
    words = sorted({word for text in WORDS.values() for word in text.split()} | set(TOPICS))
    pieces = [(piece, 0.0) for piece in ("<s>", "<pad>", "</s>", "<unk>")]
    # This score is not the same after the tokenizer was saved and read twice.
    pieces += [(f"▁{word}", -7.4715776443481445) for word in words]
    pieces += [(char, -8.0) for char in ["▁", *map(chr, range(0x21, 0x7F)), *map(chr, range(0x3041, 0x3097))]]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=build_tokenizer(pieces), pad_token="<pad>", unk_token="<unk>")
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=256,
        pad_token_id=1,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def prompts_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """25 prompts of each task from two sources, with a difficulty."""
    path = tmp_path_factory.mktemp("data") / "prompts.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "task", "source", "language", "difficulty"])
        for number, task in enumerate(TASKS):
            for index in range(25):
                text = f"{WORDS[task]} {TOPICS[index % 12]} {TOPICS[(index * 5 + number) % 12]} {index}"
                writer.writerow([text, task, f"source{index % 2}", "ja" if index % 3 else "en", number / 11])
    return path


@pytest.fixture(scope="session")
def routing_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six models on 80 prompts: the last three fail at maths."""
    rng = np.random.default_rng(0)
    rows = []
    for index in range(80):
        hard = index % 2 == 0
        row: dict[str, object] = {
            "prompt": f"{WORDS['math' if hard else 'open_qa']} {TOPICS[index % 12]} {index}",
            "split": "train" if index < 60 else "eval",
        }
        for model in range(6):
            row[f"model{model}__score"] = float(rng.random() < (0.1 if hard and model >= 3 else 0.9))
        rows.append(row)
    path = tmp_path_factory.mktemp("routing") / "bench.parquet"
    pd.DataFrame(rows).to_parquet(path)
    return path


@pytest.fixture(scope="session")
def train_options(encoder_folder: Path, prompts_file: Path, routing_file: Path) -> TrainOptions:
    return TrainOptions(
        out=Path("unset"),
        data=(str(prompts_file),),
        routing=(str(routing_file),),
        own_corpus=False,
        encoder=str(encoder_folder),
        layers=None,
        max_tokens=64,
        fit=FitOptions(epochs=6, encoder_rate=2e-3, head_rate=1e-2, batch_tokens=256, max_tokens=32, bfloat16=False),
    )


@pytest.fixture(scope="session")
def artifact(train_options: TrainOptions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact from full fine-tuning of the tiny encoder."""
    from dataclasses import replace

    folder = tmp_path_factory.mktemp("artifact")
    train(replace(train_options, out=folder))
    return folder
