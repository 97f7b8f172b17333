"""Rates that hold for all gateways together: token buckets in the store, what gateways took of them, and what is left.

No request waits for a bucket: gateways tell what they took, all that it was, and hear what is left. So a bucket may go below zero,
and what was taken too much is missing in the next minute: over any time T, what is taken is at most `per_minute` · (1 + T / 60 s)
and what gateways hadn't told yet at its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

GATEWAY_SECONDS = 10.0
"""A gateway counts as one of those that share the rates for as long after its last word."""
KEPT_SECONDS = 86_400.0
"""A bucket that nobody took from for as long is full, and may be forgotten."""


class Use(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was taken from a bucket since it was told last; negative: given back."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
    per_minute: Annotated[int, msgspec.Meta(gt=0)]
    used: Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)]


class Draw(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a gateway has taken; of nothing it says that it is there."""

    gateway: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    uses: Sequence[Use]


class Levels(msgspec.Struct, frozen=True):
    """What is left in each bucket now, and how many gateways share them."""

    gateways: int
    left: Mapping[str, float]


_draws: msgspec.json.Decoder[Draw] = msgspec.json.Decoder(Draw)
_levels: msgspec.json.Decoder[Levels] = msgspec.json.Decoder(Levels)
_encoder = msgspec.json.Encoder()


def encode(message: Draw | Levels) -> bytes:
    """The `rates` input of the `feedback` model, and its answer."""
    return _encoder.encode(message)


def decode_draw(data: bytes | str) -> Draw:
    """Raises ValueError: it isn't one."""
    try:
        return _draws.decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"rates: {error}") from error


def decode_levels(data: bytes | str) -> Levels:
    """Raises ValueError: they aren't."""
    try:
        return _levels.decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"rates: {error}") from error


def refilled(left: float, seconds: float, per_minute: float) -> float:
    """A bucket's content after some time; it holds a minute's worth at most."""
    return min(per_minute, left + max(0.0, seconds) * per_minute / 60)
