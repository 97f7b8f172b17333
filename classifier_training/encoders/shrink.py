"""A student's first weights, taken from a larger encoder."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from classifier_training.encoders.compact import CompactEncoder, CompactShape

_SEED = 0


def factorise(words: Tensor, rank: int, frequency: Tensor) -> tuple[Tensor, Tensor]:
    """`words` ≈ table @ projection.T, best where `frequency` is high.

    The table is rotated at random, so that all its columns have the same scale: int8 has one scale for the whole of it.

    Args:
        words: FP32 [pieces, hidden].
        frequency: FP32 [pieces], positive weights of the squared errors.

    Returns:
        The table [pieces, rank] and the projection [hidden, rank].
    """
    weighted = words * frequency.sqrt().unsqueeze(1)
    _, vectors = torch.linalg.eigh(weighted.T.double() @ weighted.double())
    basis = vectors[:, -rank:].float()
    generator = torch.Generator().manual_seed(_SEED)
    rotation, _ = torch.linalg.qr(torch.randn(rank, rank, generator=generator))
    return words @ basis @ rotation, basis @ rotation


def shrink(
    weights: Mapping[str, Tensor], heads: int, shape: CompactShape, frequency: Tensor, positions: int
) -> CompactEncoder:
    """The student with the first layers of an encoder.

    Args:
        weights: under BertModel's names.
        frequency: how often each piece occurs, FP32 [pieces].
    """
    words = weights["embeddings.word_embeddings.weight"]
    pieces, hidden = words.shape
    student = CompactEncoder(pieces, positions, hidden, heads, shape)
    table, projection = factorise(words, shape.rank, frequency)
    state = {
        "word_embeddings.weight": table,
        "projection.weight": projection,
        "position_embeddings.weight": weights["embeddings.position_embeddings.weight"][:positions]
        + weights["embeddings.token_type_embeddings.weight"][0],
        "norm.weight": weights["embeddings.LayerNorm.weight"],
        "norm.bias": weights["embeddings.LayerNorm.bias"],
    }
    for index in range(shape.layers):
        state |= {f"layer.{index}.{name}": value for name, value in _layer(weights, index, shape.feed_forward).items()}
    student.load_state_dict(state)
    return student.train(False)


def _layer(weights: Mapping[str, Tensor], index: int, feed_forward: int) -> dict[str, Tensor]:
    old = f"encoder.layer.{index}."
    rise, fall = weights[old + "intermediate.dense.weight"], weights[old + "output.dense.weight"]
    # A neuron's part in what the layer writes grows with both of its weight vectors.
    kept = (rise.norm(dim=1) * fall.norm(dim=0)).topk(feed_forward).indices.sort().values
    layer = {
        "intermediate.weight": rise[kept],
        "intermediate.bias": weights[old + "intermediate.dense.bias"][kept],
        "output.weight": fall[:, kept],
        "output.bias": weights[old + "output.dense.bias"],
    }
    names = {
        "attention.query": "attention.self.query",
        "attention.key": "attention.self.key",
        "attention.value": "attention.self.value",
        "attention.output": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        "output_norm": "output.LayerNorm",
    }
    for new, name in names.items():
        for kind in ("weight", "bias"):
            layer[f"{new}.{kind}"] = weights[f"{old}{name}.{kind}"]
    return layer
