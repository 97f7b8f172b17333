"""The actions of a transaction that write records and add to sums."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Iterable, Mapping

from router_backend.core.records import KeptFeedback, Outcome
from router_backend.state.dynamodb.client import Action
from router_backend.state.dynamodb.items import Item, Key, feedback_item, number, pending_key, received_digits, text
from router_backend.state.spend import KEPT_DAYS, charges

RECORDS = 32  # of a transaction: each brings up to two more actions, and four are for all; DynamoDB takes 100

OUTBOX = "outbox"

IF_NEW = {"ConditionExpression": "attribute_not_exists(pk)"}


def put_new(item: Item) -> Action:
    """Unless there is one."""
    return {"Put": {"Item": item, **IF_NEW}}


def put_feedback(kept: KeptFeedback, read: KeptFeedback | None, expires: int, read_precedence: int) -> list[Action]:
    """In place of what was read, if that is still there; with its entry among those that wait."""
    put: Action = put_new(feedback_item(kept, expires))
    if read is not None:
        put["Put"] |= {
            "ConditionExpression": "pending = :pending AND precedence = :precedence",
            "ExpressionAttributeValues": {":pending": text(read.pending), ":precedence": number(read_precedence)},
        }
    actions = [put]
    waits = pending_key(kept) if kept.pending else None
    waited = pending_key(read) if read is not None and read.pending else None
    if waits is not None:
        actions.append({"Put": {"Item": {**waits.item(), "expires": number(expires)}}})
    if waited is not None and waited != waits:
        actions.append({"Delete": {"Key": waited.item()}})
    return actions


def tell(told: Iterable[tuple[str, str]], expires: int) -> list[Action]:
    """Note records, kind and id of each, for an archive."""
    ids = " ".join(f"{kind}:{identity}" for kind, identity in told)
    if not ids:
        return []
    key = Key(OUTBOX, f"{received_digits(time.time())}#{secrets.token_hex(4)}")
    return [{"Put": {"Item": {**key.item(), "ids": text(ids), "expires": number(expires)}}}]


def add_tallies(shard: str, decisions: Mapping[str, int], feedback: Mapping[str, int]) -> list[Action]:
    counts = {f"d:{arm}": count for arm, count in decisions.items() if count}
    counts |= {f"f:{arm}": count for arm, count in feedback.items() if count}
    if not counts:
        return []
    names = {f"#c{place}": name for place, name in enumerate(counts)}
    values = {f":c{place}": number(count) for place, count in enumerate(counts.values())}
    expression = "ADD " + ", ".join(f"#c{place} :c{place}" for place in range(len(counts)))
    return [
        {
            "Update": {
                "Key": Key("tally", shard).item(),
                "UpdateExpression": expression,
                "ExpressionAttributeNames": names,
                "ExpressionAttributeValues": values,
            }
        }
    ]


def add_spending(shard: str, outcomes: Iterable[Outcome]) -> list[Action]:
    """What outcomes cost, to the day and the month of each key."""
    sums: Counter[tuple[str, str]] = Counter()
    expires: dict[tuple[str, str], int] = {}
    for outcome in outcomes:
        for period, key, usd in charges(outcome):
            sums[period, key] += usd  # type: ignore[assignment]
            until = int(outcome.completed) + KEPT_DAYS * 86_400
            expires[period, key] = max(until, expires.get((period, key), 0))
    return [
        {
            "Update": {
                "Key": Key(f"spend#{period}", f"{key}#{shard}").item(),
                "UpdateExpression": "SET expires = :expires ADD usd :usd",
                "ExpressionAttributeValues": {":usd": number(usd), ":expires": number(expires[period, key])},
            }
        }
        for (period, key), usd in sums.items()
    ]
