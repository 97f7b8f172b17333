"""Decisions by their time: a sorted set of the latest ids, and what there is about each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

from router_backend.core.records import Decision, Feedback, KeptFeedback, Place, Recorded
from router_backend.state.codec import decode
from router_backend.state.redis.client import RedisClient
from router_backend.state.redis.values import outcome_of

RECENT = "recent"
_FEEDBACK_FIELDS = ("body", "arm", "quality", "cost", "pending")


def get_recent(client: RedisClient, before: Place | None, limit: int) -> list[Recorded]:
    """See `Store.recent`. Ids outlive their decisions, oldest first: a page without any decision is the last one."""
    found: list[Recorded] = []
    while len(found) < limit:
        places = _places(client, before, limit - len(found))
        there = [each for each in get_recorded(client, [place.decision_id for place in places]) if each is not None]
        found += there
        if not there:
            break
        before = places[-1]
    return found


def get_recorded(client: RedisClient, decision_ids: Sequence[str]) -> list[Recorded | None]:
    """None for a decision that isn't there."""
    commands = [
        command
        for each in decision_ids
        for command in (
            ("GET", client.key("decision", each)),
            ("GET", client.key("outcome", each)),
            ("HMGET", client.key("feedback", each), *_FEEDBACK_FIELDS),
        )
    ]
    values = client.pipelined(commands)
    return [_recorded(*values[at : at + 3]) for at in range(0, len(values), 3)]


def _places(client: RedisClient, before: Place | None, limit: int) -> list[Place]:
    """The next ones; of equal times the greater id comes first, as in the set."""
    highest, found, offset = before or Place(math.inf, ""), list[Place](), 0
    while len(found) < limit:
        with client.errors():
            page = client.raw.zrevrangebyscore(
                client.key(RECENT), repr(highest.created), "-inf", start=offset, num=limit, withscores=True
            )
        places = [Place(score, member.decode()) for member, score in cast("list[tuple[bytes, float]]", page)]
        found += [place for place in places if before is None or place < before]
        offset += len(places)
        if len(places) < limit:
            break
    return found[:limit]


def _recorded(decision: bytes | None, outcome: bytes | None, feedback: list[bytes | None]) -> Recorded | None:
    if decision is None:
        return None
    body, *credited = feedback
    kept = None
    if body is not None:
        arm, quality, cost, pending = (value or b"" for value in credited)
        kept = KeptFeedback(decode(Feedback, body), arm.decode(), float(quality), float(cost), pending.decode())
    return Recorded(decode(Decision, decision.partition(b"\n")[0]), outcome_of(outcome), kept)
