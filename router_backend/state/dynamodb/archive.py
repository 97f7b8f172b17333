"""All that a table keeps, to copy it or to start from nothing."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence

from router_backend.core.records import Decision, KeptFeedback, LearningEvent, Outcome, Record, Tally
from router_backend.state.dynamodb.client import Action, Cancelled, DynamoClient
from router_backend.state.dynamodb.items import (
    Item,
    alive,
    decision_item,
    decision_of,
    feedback_item,
    feedback_of,
    outcome_item,
    outcome_of,
    pending_key,
    text,
)
from router_backend.state.dynamodb.log import Log
from router_backend.state.dynamodb.outbox import unseed
from router_backend.state.dynamodb.recent import put_places
from router_backend.state.dynamodb.writes import RECORDS, add_spending, add_tallies

_PAGE = 1000
_BESIDE = ("lease", "checkpoint", "rate")  # no part of what is copied
_ALONE = ("gateways", "readers", "outbox")  # nor these
_KINDS: dict[str, Callable[[Item], Record]] = {
    "decision": decision_of,
    "outcome": outcome_of,
    "feedback": feedback_of,
}


class DynamoArchive:
    """The `Archive` of a table. What is written while it is read may be in the copy or not."""

    def __init__(self, client: DynamoClient, log: Log, expires: Callable[[float], int]) -> None:
        """`expires`: when what was made at a time is past the retention."""
        self._client, self._log, self._expires = client, log, expires

    def records(self) -> Iterator[Record]:
        names = {f":{kind}": text(kind) for kind in _KINDS}
        for item in self._client.scan(f"sk IN ({', '.join(names)})", names):
            if alive(item, time.time()):
                yield _KINDS[item["sk"]["S"]](item)
        after = 0
        while events := self._log.events(after, _PAGE):
            yield from events
            after = events[-1].sequence
        for item in self._client.query("tally"):
            for arm in sorted({name[2:] for name in item if name[:2] in ("d:", "f:")}):
                yield Tally(arm, *(int(item[f"{kind}:{arm}"]["N"]) if f"{kind}:{arm}" in item else 0 for kind in "df"))

    def restore(self, records: Sequence[Record]) -> None:
        for start in range(0, len(records), RECORDS):
            self._restore(records[start : start + RECORDS])
        unseed(self._client)  # an archive begins with all there is
        self._client.verify()

    def _restore(self, records: Sequence[Record]) -> None:
        for _ in self._client.attempts():
            try:
                self._client.transact(self._actions(records))
                return
            except Cancelled:
                continue

    def _actions(self, records: Sequence[Record]) -> list[Action]:
        actions: list[Action] = []
        tallies: dict[str, Tally] = {}
        for record in records:
            match record:
                case Decision():
                    actions.append({"Put": {"Item": decision_item(record, self._expires(record.created))}})
                case Outcome():
                    actions.append({"Put": {"Item": outcome_item(record, self._expires(record.completed))}})
                case KeptFeedback():
                    expires = self._expires(record.feedback.received)
                    actions.append({"Put": {"Item": feedback_item(record, expires)}})
                    if record.pending:
                        actions.append({"Put": {"Item": pending_key(record).item()}})
                case Tally():
                    before = tallies.get(record.arm, Tally(record.arm, 0, 0))
                    decisions, feedback = before.decisions + record.decisions, before.feedback + record.feedback
                    tallies[record.arm] = Tally(record.arm, decisions, feedback)
        made = [record for record in records if isinstance(record, Decision)]
        actions += put_places(made, "00", self._expires(time.time()))
        actions += add_spending("00", [record for record in records if isinstance(record, Outcome)])
        decided = {arm: tally.decisions for arm, tally in tallies.items()}
        actions += add_tallies("00", decided, {arm: tally.feedback for arm, tally in tallies.items()})
        return actions + self._log.append([record for record in records if isinstance(record, LearningEvent)])

    def empty(self) -> bool:
        head = self._log.head()
        if head.tail >= head.first:
            return False
        others = {
            ":store": text("store"),
            **{f":{name}": text(name) for name in _ALONE},
            **{f":{kind}": text(f"{kind}#") for kind in _BESIDE},
        }
        condition = " AND ".join(
            [
                "pk <> :store",
                *(f"pk <> :{name}" for name in _ALONE),
                *(f"NOT begins_with(pk, :{kind})" for kind in _BESIDE),
            ]
        )
        return next(self._client.scan(condition, others, "pk, sk"), None) is None

    def clear(self) -> None:
        self._log.renew(secrets.token_hex(16))
        self._client.delete_all(list(self._client.scan("pk <> :store", {":store": text("store")}, "pk, sk")))
