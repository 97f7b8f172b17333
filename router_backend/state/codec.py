"""Records to bytes and back: what the stores keep, what an export holds and what gateways report.

A record is a JSON object of its fields, a context in it is base64 of little-endian FP32; the stores keep the context
beside the object, as raw bytes. Fields that this build doesn't know are passed over, so that an older router reads
what a newer one wrote during a rolling upgrade.
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from router_backend.core.records import (
    Decision,
    Feedback,
    KeptFeedback,
    LearningEvent,
    Outcome,
    Record,
    Recorded,
    Tally,
    Usage,
)

_FP32 = np.dtype("<f4")
_EMPTY = np.zeros(0, np.float32)

Decoded = TypeVar("Decoded", Decision, Outcome, Feedback, KeptFeedback, LearningEvent, Tally, Usage)


class RecordError(ValueError):
    """Bytes that aren't the record they should be; says what is wrong with which field."""


def _from_array(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return binascii.b2a_base64(pack_context(value), newline=False).decode()
    if isinstance(value, np.generic):  # a numpy scalar that arithmetic left in a record
        return value.item()
    raise NotImplementedError(f"{type(value).__name__} is no part of a record")


def _to_array(kind: Any, value: Any) -> NDArray[np.float32]:
    if not isinstance(value, str):
        raise ValueError("a context is base64 of FP32 values")
    return unpack_context(binascii.a2b_base64(value))


def _from_number(value: Any) -> Any:
    return "" if isinstance(value, np.ndarray) else _from_array(value)


_encoder = msgspec.json.Encoder(enc_hook=_from_array)
_bare = msgspec.json.Encoder(enc_hook=_from_number)  # contexts are left out
_decoders: dict[type, msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind, dec_hook=_to_array)
    for kind in (Decision, Outcome, Feedback, KeptFeedback, LearningEvent, Tally, Usage)
}


def pack_context(context: NDArray[np.float32]) -> bytes:
    return context.astype(_FP32, copy=False).tobytes()


def unpack_context(data: bytes | None) -> NDArray[np.float32]:
    return np.frombuffer(data, _FP32) if data else _EMPTY


def encode(record: Record | Feedback | Usage) -> bytes:
    """One line of JSON, the context in it."""
    return _encoder.encode(record)


def decode(kind: type[Decoded], data: bytes | str) -> Decoded:
    """The inverse of `encode`.

    Raises:
        RecordError: not JSON, or a field that is missing or of the wrong type.
    """
    try:
        record: Decoded = _decoders[kind].decode(data)
    except (msgspec.MsgspecError, ValueError) as error:
        raise RecordError(f"not a {kind.__name__}: {error}") from error
    return record


Contextual = TypeVar("Contextual", Decision, LearningEvent)


def split(record: Decision | LearningEvent) -> tuple[bytes, bytes]:
    """(JSON without the context, the context's bytes)."""
    return _bare.encode(record), pack_context(record.context)


def join(kind: type[Contextual], body: bytes | str, context: bytes | None) -> Contextual:
    """The inverse of `split`."""
    record = decode(kind, body)
    object.__setattr__(
        record, "context", unpack_context(context)
    )  # nobody else has it yet, and a copy costs as much as decoding
    return record


def encode_records(
    decisions: Sequence[Decision] = (), outcomes: Sequence[Outcome] = (), scores: Sequence[Feedback] = ()
) -> bytes:
    """The `records` input of the `feedback` model; contexts are left out.

    The records are written as they lie: `asdict` would copy each value deeply first. A Triton of an older release refuses
    records with `scores`, so they go apart from the others.
    """
    return _bare.encode(
        {"decisions": decisions, "outcomes": outcomes, "scores": scores}
        if scores
        else {"decisions": decisions, "outcomes": outcomes}
    )


class _Records(msgspec.Struct, forbid_unknown_fields=True):
    decisions: list[Decision] = []
    outcomes: list[Outcome] = []
    scores: list[Feedback] = []  # implicit ones


_records_decoder = msgspec.json.Decoder(_Records, dec_hook=_to_array)


def decode_records(data: bytes | str) -> tuple[list[Decision], list[Outcome], list[Feedback]]:
    """The inverse of `encode_records`.

    Raises:
        RecordError: not `{"decisions": [...], "outcomes": [...], "scores": [...]}` with the fields of core.records.
    """
    try:
        records = _records_decoder.decode(data)
    except (msgspec.MsgspecError, ValueError) as error:
        raise RecordError(f"records: {error}") from error
    return records.decisions, records.outcomes, records.scores


_recorded_decoder: msgspec.json.Decoder[Recorded | None] = msgspec.json.Decoder(Recorded | None, dec_hook=_to_array)


def encode_recorded(recorded: Recorded | None) -> bytes:
    """All about one decision as JSON, `null` for none."""
    return _encoder.encode(recorded)


def decode_recorded(data: bytes | str) -> Recorded | None:
    """The inverse of `encode_recorded`. Raises RecordError: it isn't that."""
    try:
        return _recorded_decoder.decode(data)
    except (msgspec.MsgspecError, ValueError) as error:
        raise RecordError(f"not a decision with what became of it: {error}") from error
