"""Token ids of prompts, and batches of like length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

IdArray = NDArray[np.int64]
# Far more characters than the token budget holds; what lies between head and tail would be cut anyway.
_CHARACTERS_PER_TOKEN = 12


def head_and_tail(items: Sequence[int], budget: int) -> list[int]:
    """The first and the last ids within `budget`: the request stands at the start or at the end of a long prompt."""
    if len(items) <= budget:
        return list(items)
    head = (budget + 1) // 2
    return [*items[:head], *items[len(items) - (budget - head) :]]


def encode(tokenizer: Tokenizer, texts: Sequence[str], prefix: str, max_tokens: int) -> list[list[int]]:
    """Token ids of each text with its special tokens, at most `max_tokens` of them."""
    limit = max_tokens * _CHARACTERS_PER_TOKEN
    shortened = [
        prefix + (text if len(text) <= 2 * limit else f"{text[:limit]}\n{text[-limit:]}") for text in texts
    ]
    rows = []
    for encoding in tokenizer.encode_batch_fast(shortened):
        ids = encoding.ids
        rows.append([*head_and_tail(ids[:-1], max_tokens - 1), ids[-1]])
    return rows


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
