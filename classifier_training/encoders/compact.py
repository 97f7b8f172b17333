"""A student's encoder: few layers, a factorised vocabulary, and pairs of tokens pooled after the first layers.

Three parts make it small and fast, each with a knob of its own:

- a word's vector is `rank` numbers and one projection for all words (Lan et al., "ALBERT", 2020, section 3.1), frozen as they are read;
- feed-forward layers keep the `feed_forward` neurons that matter most in the encoder it starts from;
- after `pool_after` layers two neighbouring tokens become one (Dai et al., "Funnel-Transformer", 2020), so that later layers read half as many.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

_MASKED = -10000.0  # added to the scores of padding: softmax makes it nothing, in float16 too


@dataclass(frozen=True, slots=True)
class CompactShape:
    """Sizes of a student.

    Attributes:
        layers: from the first of the encoder that it starts from.
        rank: numbers for each piece of the vocabulary.
        feed_forward: neurons of each feed-forward layer.
        pool_after: layers that read every token; the others read pairs. 0 pools nothing.
    """

    layers: int = 3
    rank: int = 240
    feed_forward: int = 768
    pool_after: int = 1


class EncoderOutput(NamedTuple):
    """States FP32 [batch, positions, hidden], and how many tokens each position holds, FP32 [batch, positions]."""

    last_hidden_state: Tensor
    weights: Tensor


class _Attention(nn.Module):
    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads, self.size = heads, hidden // heads
        self.query, self.key, self.value, self.output = (nn.Linear(hidden, hidden) for _ in range(4))

    def _split(self, states: Tensor) -> Tensor:
        return states.view(*states.size()[:-1], self.heads, self.size).permute(0, 2, 1, 3)

    def forward(self, states: Tensor, bias: Tensor) -> Tensor:
        query, key, value = (
            self._split(self.query(states)),
            self._split(self.key(states)),
            self._split(self.value(states)),
        )
        scores = torch.matmul(query, key.transpose(-1, -2)) / self.size**0.5 + bias
        read = torch.matmul(functional.softmax(scores, dim=-1), value).permute(0, 2, 1, 3).contiguous()
        return torch.as_tensor(self.output(read.view(*read.size()[:-2], self.heads * self.size)))


class _Layer(nn.Module):
    def __init__(self, hidden: int, heads: int, feed_forward: int, epsilon: float) -> None:
        super().__init__()
        self.attention = _Attention(hidden, heads)
        self.attention_norm = nn.LayerNorm(hidden, eps=epsilon)
        self.intermediate = nn.Linear(hidden, feed_forward)
        self.output = nn.Linear(feed_forward, hidden)
        self.output_norm = nn.LayerNorm(hidden, eps=epsilon)

    def forward(self, states: Tensor, bias: Tensor) -> Tensor:
        states = self.attention_norm(self.attention(states, bias) + states)
        return torch.as_tensor(self.output_norm(self.output(functional.gelu(self.intermediate(states))) + states))


class CompactEncoder(nn.Module):
    """`(input_ids, attention_mask) -> EncoderOutput`, both INT64 [batch, tokens]."""

    def __init__(
        self, vocabulary: int, positions: int, hidden: int, heads: int, shape: CompactShape, epsilon: float = 1e-12
    ) -> None:
        super().__init__()
        self.pool_after = shape.pool_after
        self.word_embeddings = nn.Embedding(vocabulary, shape.rank)
        self.projection = nn.Linear(shape.rank, hidden, bias=False)
        self.position_embeddings = nn.Embedding(positions, hidden)
        self.norm = nn.LayerNorm(hidden, eps=epsilon)
        self.layer = nn.ModuleList(_Layer(hidden, heads, shape.feed_forward, epsilon) for _ in range(shape.layers))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> EncoderOutput:
        # For each row of the batch: onnxruntime fuses a sum with the norm behind it only where both sides have one shape.
        positions = torch.arange(input_ids.size(1), device=input_ids.device).unsqueeze(0).expand_as(input_ids)
        states = self.norm(self.projection(self.word_embeddings(input_ids)) + self.position_embeddings(positions))
        weights = attention_mask.to(torch.float32)
        bias = _bias(weights)
        for index, layer in enumerate(self.layer):
            if index == self.pool_after and index > 0:
                states, weights = pool_pairs(states, weights)
                bias = _bias(weights.clamp(max=1.0))
            states = layer(states, bias)
        return EncoderOutput(states, weights)


def _bias(mask: Tensor) -> Tensor:
    """Added to attention's scores, FP32 [batch, 1, 1, positions]."""
    return (1.0 - mask.unsqueeze(1).unsqueeze(2)) * _MASKED


def pool_pairs(states: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The weighted mean of each two neighbours; of an odd number the last stays alone."""
    states = functional.pad(states, (0, 0, 0, 1))
    weights = functional.pad(weights, (0, 1))
    first, second = weights[:, 0:-1:2], weights[:, 1::2]
    both = first + second
    mean = states[:, 0:-1:2] * first.unsqueeze(-1) + states[:, 1::2] * second.unsqueeze(-1)
    return mean / both.clamp(min=1.0).unsqueeze(-1), both
