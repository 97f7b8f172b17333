"""Sentence embeddings of many prompts."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from classifier_training.encoders import Encoder
from classifier_training.model import Classifier
from classifier_training.text import batches, encode, pad
from classifier_training.training.fit import Progress

_BATCH_TOKENS = 4096


@torch.no_grad()
def pool_texts(
    model: Classifier,
    encoder: Encoder,
    texts: list[str],
    max_tokens: int,
    progress: Progress = lambda step, steps, loss: None,
    bfloat16: bool = True,
) -> NDArray[np.float32]:
    """Pooled embeddings, FP32 [texts, hidden], in the order of `texts`."""
    model.eval()
    rows = encode(encoder.tokenizer, texts, encoder.prefix, max_tokens)
    pooled = np.empty((len(rows), encoder.hidden), dtype=np.float32)
    done = 0
    for batch in batches([len(row) for row in rows], _BATCH_TOKENS):
        ids, mask = pad([rows[index] for index in batch], encoder.pad)
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            pooled[batch] = model.pool(torch.from_numpy(ids), torch.from_numpy(mask)).float().numpy()
        done += len(batch)
        progress(done, len(rows), float("nan"))
    return pooled
