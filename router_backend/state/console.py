"""What the operator's console asks the store, and what it is told: JSON through the `feedback` model.

A question looks at a bounded number of decisions, so that no score waits for long; an answer says where the next one goes on.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from router_backend.core.pricing import TokenPrices
from router_backend.core.records import Place, Recorded
from router_backend.state.codec import encode_recorded
from router_backend.state.decision_rows import DecisionRow, Wanted, row_of
from router_backend.state.store import Store
from router_backend.state.traffic import Traffic

LOOKED_AT = 1000
"""Decisions of one question at most."""


class Latest(msgspec.Struct, tag="latest", forbid_unknown_fields=True):
    """The latest decisions that are wanted, of those before a place."""

    wanted: Wanted
    before: Place | None = None


class One(msgspec.Struct, tag="one", forbid_unknown_fields=True):
    """A decision in full."""

    decision_id: str


class Sums(msgspec.Struct, tag="sums", forbid_unknown_fields=True):
    """Of the decisions of a time, in so many parts; of those before a place."""

    start: float
    end: float
    parts: int
    before: Place | None = None


class Spent(msgspec.Struct, tag="spent", forbid_unknown_fields=True):
    """USD by key in each of these periods (`state.spend.periods`)."""

    periods: list[str]


class Changes(msgspec.Struct, tag="changes", forbid_unknown_fields=True):
    """At which models a change was found, and how far sources of scores agree with people (`learning.changes`)."""


Asked = Latest | One | Sums | Spent
"""What the store alone can answer."""
Question = Asked | Changes


class Rows(msgspec.Struct):
    """The answer to `Latest`: `next` is where to go on; None: there is nothing before."""

    rows: list[DecisionRow]
    next: Place | None


class Summed(msgspec.Struct):
    """The answer to `Sums`, of the decisions from its place down to `next`."""

    traffic: Traffic
    next: Place | None


_decoder: msgspec.json.Decoder[Question] = msgspec.json.Decoder(Question)
_encoder = msgspec.json.Encoder()


def encode_question(asked: Question) -> bytes:
    """The `console` input of the `feedback` model."""
    return _encoder.encode(asked)


def decode_question(data: bytes | str) -> Question:
    """The inverse of `encode_question`. Raises ValueError: it isn't one."""
    try:
        return _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"console: {error}") from error


def answer(store: Store, asked: Asked, prices: Mapping[str, TokenPrices]) -> bytes:
    """`prices` of the configured models. The model's output `response`: `Rows`, a `Recorded` or null, `Summed`, or USD by key by period.

    Raises:
        StoreError: the store can't be used now.
    """
    match asked:
        case Latest():
            return _encoder.encode(_latest(store, asked))
        case One():
            return encode_recorded(store.recorded(asked.decision_id))
        case Sums():
            traffic = Traffic(start=asked.start, end=asked.end, parts=max(1, asked.parts))
            found = store.recent(asked.before or Place(asked.end, ""), LOOKED_AT)
            traffic.add(found, prices)
            return _encoder.encode(Summed(traffic, _next(found, LOOKED_AT, asked.start)))
        case Spent():
            return _encoder.encode({period: store.spend(period) for period in asked.periods[:64]})


def _latest(store: Store, asked: Latest) -> Rows:
    """Looks at more of them only when too few are wanted."""
    wanted, rows, before, left = asked.wanted, list[DecisionRow](), asked.before, LOOKED_AT
    limit = max(1, min(wanted.limit, LOOKED_AT))
    while len(rows) < limit and left > 0:
        size = min(left, max(50, limit - len(rows)))
        found = store.recent(before, size)
        left -= size
        before = _next(found, size, wanted.start)
        for each in found:
            row = row_of(each)
            if wanted.lets(row):
                rows.append(row)
                if len(rows) == limit:
                    return Rows(rows, Place(row.created, row.decision_id))
        if before is None:
            break
    return Rows(rows, before)


def _next(found: list[Recorded], limit: int, start: float) -> Place | None:
    if len(found) < limit or found[-1].decision.created < start:
        return None
    return Place(found[-1].decision.created, found[-1].decision.decision_id)
