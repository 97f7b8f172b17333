"""Token ids of prompts, and batches of like length."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from router_backend.classifier.encoding import PromptEncoder
from router_backend.contract import TOKENIZER_FILE

IdArray = NDArray[np.int64]


def prompt_encoder(tokenizer: Tokenizer, prefix: str, max_tokens: int) -> PromptEncoder:
    """The encoder that serving uses, so that training and serving read a prompt alike."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / TOKENIZER_FILE
        tokenizer.save(str(path), pretty=False)
        return PromptEncoder(path, prefix, max_tokens)


def encode(tokenizer: Tokenizer, texts: Sequence[str], prefix: str, max_tokens: int) -> list[list[int]]:
    """Token ids of each text with its special tokens, at most `max_tokens` of them (head and tail of a longer one)."""
    encoder = prompt_encoder(tokenizer, prefix, max_tokens)
    return [encoder.ids(text)[0] for text in texts]


def pad(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[IdArray, IdArray]:
    """`input_ids` and `attention_mask`, INT64 [rows, longest]."""
    longest = max(len(row) for row in rows)
    ids = np.full((len(rows), longest), pad_id, dtype=np.int64)
    mask = np.zeros((len(rows), longest), dtype=np.int64)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
        mask[index, : len(row)] = 1
    return ids, mask


def batches(lengths: Sequence[int], tokens: int, rng: np.random.Generator | None = None) -> list[IdArray]:
    """Row indices of batches with at most `tokens` padded tokens, rows of like length together.

    With `rng`, rows are shuffled within neighbouring lengths and the batches are in random order; without, both are fixed.
    """
    keys = np.asarray(lengths, dtype=np.float64)
    if rng is not None:
        keys = keys * rng.uniform(0.9, 1.1, len(keys))
    found: list[IdArray] = []
    current: list[int] = []
    longest = 0
    for index in np.argsort(keys, kind="stable").tolist():
        if current and max(longest, lengths[index]) * (len(current) + 1) > tokens:
            found.append(np.array(current, dtype=np.int64))
            current, longest = [], 0
        current.append(index)
        longest = max(longest, lengths[index])
    if current:
        found.append(np.array(current, dtype=np.int64))
    if rng is not None:
        order = rng.permutation(len(found))
        found = [found[index] for index in order]
    return found
