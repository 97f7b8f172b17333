"""Decisions by their time: an item for each group that is written together, in spans of some seconds.

An item a group costs little beside its decisions, and is written in their transaction. Shards keep routers from writing to one
partition; a reader asks all of them.
"""

from __future__ import annotations

import heapq
import math
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice

import orjson

from router_backend.core.records import Decision, Place, Recorded
from router_backend.state.codec import decode
from router_backend.state.dynamodb.client import Action, DynamoClient
from router_backend.state.dynamodb.items import Item, Key, alive, binary, feedback_of, number, outcome_of

SHARDS = 16
_SPAN_SECONDS = 10.0
_PAGE = 32  # items of a shard that are read at once
_KINDS = ("decision", "outcome", "feedback")


def put_places(decisions: Iterable[Decision], shard: str, expires: int) -> list[Action]:
    """One action for each span; of 32 decisions 32 at most."""
    spans: dict[str, list[Place]] = {}
    for decision in decisions:
        spans.setdefault(_span(decision.created), []).append(Place(decision.created, decision.decision_id))
    return [
        {
            "Put": {
                "Item": {
                    **Key(f"recent#{shard}", f"{span}#{secrets.token_hex(8)}").item(),
                    "places": binary(orjson.dumps([list(place) for place in places])),
                    "expires": number(expires),
                }
            }
        }
        for span, places in spans.items()
    ]


def get_recent(client: DynamoClient, before: Place | None, limit: int) -> list[Recorded]:
    """See `Store.recent`. Places outlive their decisions, oldest first: a page without any decision is the last one."""
    found: list[Recorded] = []
    places = _places(client, before)
    while len(found) < limit:
        page = [place.decision_id for place in islice(places, limit - len(found))]
        there = [each for each in get_recorded(client, page) if each is not None]
        found += there
        if not there:
            break
    return found


def get_recorded(client: DynamoClient, decision_ids: Sequence[str]) -> list[Recorded | None]:
    """None for a decision that isn't there."""
    now, items = time.time(), dict[tuple[str, str], Item]()
    for item in client.get_many([Key(each, kind) for each in decision_ids for kind in _KINDS]):
        if alive(item, now):
            items[item["pk"]["S"], item["sk"]["S"]] = item
    return [_recorded(*(items.get((each, kind)) for kind in _KINDS)) for each in decision_ids]


def _recorded(decision: Item | None, outcome: Item | None, feedback: Item | None) -> Recorded | None:
    if decision is None:
        return None
    return Recorded(
        decode(Decision, decision["body"]["B"]),
        None if outcome is None else outcome_of(outcome),
        None if feedback is None else feedback_of(feedback),
    )


def _places(client: DynamoClient, before: Place | None) -> Iterator[Place]:
    """The latest first, each once. A span is read as a whole, so that groups that overlap in time stand in one order."""
    now, below = time.time(), _span(math.inf if before is None else before.created) + "$"  # follows "#"
    shards = (client.query(f"recent#{shard:02d}", below=below, limit=_PAGE, backward=True) for shard in range(SHARDS))
    items = heapq.merge(*shards, key=_span_of, reverse=True)
    for _, group in groupby(filter(lambda item: alive(item, now), items), key=_span_of):
        places = {Place(*place) for item in group for place in orjson.loads(item["places"]["B"])}
        yield from (place for place in sorted(places, reverse=True) if before is None or place < before)


def _span(at: float) -> str:
    """A span as text of the same order."""
    return "9" * 12 if at == math.inf else f"{int(max(0.0, at) // _SPAN_SECONDS):012d}"


def _span_of(item: Item) -> str:
    return str(item["sk"]["S"].partition("#")[0])
