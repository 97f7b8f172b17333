"""The log by column: what a learner that is behind reads costs no object an event.

A kept event is JSON beside its context's bytes. A page is decoded in one call, and of its fields those that are learned.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from router_backend.core.observations import Labels, Numbers, Observations, side_by_side
from router_backend.state.codec import RecordError

_FP32 = np.dtype("<f4")


class _Tokens(msgspec.Struct, gc=False):
    """Of a `Usage`."""

    completion: int = 0
    reasoning: int = 0


class _Event(msgspec.Struct, gc=False):
    """Of a `LearningEvent`."""

    arm: str
    at: float
    embedding_space: int
    task: str
    quality: float
    cost: float
    output_tokens: int | None = None
    usage: _Tokens | None = None
    source: str = ""
    judged: dict[str, float] = {}
    revision: str = ""


_events = msgspec.json.Decoder(list[_Event])
_usages = msgspec.json.Decoder(list[_Tokens | None])


def observations_of(sequences: Sequence[int], bodies: Sequence[bytes], contexts: Sequence[bytes]) -> Observations:
    """Events as `codec` writes them, without contexts, beside the contexts' bytes.

    Raises:
        RecordError: one isn't an event.
    """
    events = _decoded(_events, bodies)
    usages = [event.usage for event in events]
    packed, lengths = contexts_of(contexts)
    return Observations(
        sequences=np.array(sequences, np.int64),
        arms=Labels.of([event.arm for event in events]),
        at=np.array([event.at for event in events], np.float64),
        spaces=np.array([event.embedding_space for event in events], np.int64),
        contexts=packed,
        lengths=lengths,
        tasks=Labels.of([event.task for event in events]),
        qualities=np.array([event.quality for event in events], np.float64),
        costs=np.array([event.cost for event in events], np.float64),
        output_tokens=numbers([event.output_tokens for event in events]),
        completion_tokens=numbers([None if usage is None else usage.completion for usage in usages]),
        reasoning_tokens=numbers([None if usage is None else usage.reasoning for usage in usages]),
        sources=Labels.of([event.source for event in events]),
        revisions=Labels.of([event.revision for event in events]),
        judged=judged_of([event.judged for event in events]),
    )


def tokens_of(usages: Sequence[bytes | None]) -> tuple[Numbers, Numbers]:
    """(completion, reasoning) [n] of usages as `codec` writes them; NaN where there is none."""
    found = _decoded(_usages, [usage or b"null" for usage in usages])
    return (
        numbers([None if each is None else each.completion for each in found]),
        numbers([None if each is None else each.reasoning for each in found]),
    )


def contexts_of(packed: Sequence[bytes]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Contexts side by side, and their lengths."""
    lengths = np.array([len(each) for each in packed], np.intp) // _FP32.itemsize
    return side_by_side(np.frombuffer(b"".join(packed), _FP32), lengths), lengths


def numbers(values: Sequence[float | None]) -> Numbers:
    """NaN for None."""
    return np.array(values, np.float64)  # numpy's own reading of None


def judged_of(kept: Iterable[dict[str, float]]) -> tuple[tuple[int, str, float], ...]:
    """What `Observations.judged` holds."""
    return tuple(
        (place, source, score) for place, judged in enumerate(kept) if judged for source, score in judged.items()
    )


def _decoded(decoder: msgspec.json.Decoder[list[Any]], values: Sequence[bytes]) -> list[Any]:
    try:
        return decoder.decode(b"[" + b",".join(values) + b"]")
    except (msgspec.MsgspecError, ValueError) as error:
        raise RecordError(f"events of the log: {error}") from error
