"""Records to Redis values and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson

from router_backend.core.observations import Observations
from router_backend.core.records import Decision, LearningEvent, Outcome, StoredResponse
from router_backend.state.codec import (
    decode,
    join,
    split,
)
from router_backend.state.columns import observations_of
from router_backend.state.spend import KEPT_DAYS


def decision_value(decision: Decision) -> bytes:
    """JSON, a line break (which JSON doesn't hold), and the context's bytes."""
    return b"\n".join(split(decision))


def decision_of(value: bytes | None) -> Decision | None:
    if value is None:
        return None
    body, _, context = value.partition(b"\n")
    return join(Decision, body, context)


def outcome_of(value: bytes | None) -> Outcome | None:
    return None if value is None else decode(Outcome, value)


def response_value(response: StoredResponse) -> bytes:
    """Key and time as JSON, a line break, and the body."""
    return orjson.dumps([response.key, response.created]) + b"\n" + response.body


def response_of(response_id: str, value: bytes) -> StoredResponse:
    head, _, body = value.partition(b"\n")
    key, created = orjson.loads(head)
    return StoredResponse(response_id=response_id, key=key, created=created, body=body)


def spend_expires(outcome: Outcome) -> int:
    """When what was spent in its day and in its month is needed no more, in Unix seconds."""
    return int(outcome.completed) + KEPT_DAYS * 86_400


def split_event(event: LearningEvent | None) -> tuple[bytes, bytes]:
    """(JSON without the context, the context's bytes), the fields `e` and `c` of an entry; both empty for none."""
    if event is None:
        return b"", b""
    return split(event)


def event_of(entry: tuple[bytes, dict[bytes, Any]]) -> LearningEvent:
    """From an entry of the stream; its id is the sequence."""
    position, fields = entry
    event = join(LearningEvent, fields[b"e"], fields[b"c"])
    return replace(event, sequence=int(position.partition(b"-")[0]))


def observations_of_entries(entries: Sequence[tuple[bytes, Sequence[bytes]]]) -> Observations:
    """From entries of the stream as Redis sends them: an id, and names and values in turns."""
    return observations_of(
        [int(position.partition(b"-")[0]) for position, _ in entries],
        [fields[1] for _, fields in entries],
        [fields[3] for _, fields in entries],
    )
