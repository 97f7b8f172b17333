"""The table of the DynamoDB store: its URL, what it must be, requests, and errors that say what to do.

A transaction (`TransactWriteItems`) is how several items change together: at most 100 of them, all or none. Writers that touch
the same item at the same time are refused by DynamoDB and try again here.
"""

from __future__ import annotations

import logging
import random
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import botocore.exceptions

from router_backend.state.dynamodb.connection import advice, connect, parse_address, unreached
from router_backend.state.dynamodb.items import Item, Key, number, text
from router_backend.state.store import (
    MISSING_ADVICE,
    REPLACED_ADVICE,
    StoreError,
    StoreMisconfigured,
    StoreMissing,
    StoreReplaced,
)

SCHEMA = 1
TTL_ATTRIBUTE = "expires"
IDENTITY, _HEAD, _PROBE = (Key("store", name) for name in ("identity", "head", "probe"))
ARCHIVE_SEEN = "archive_seen"
"""Of the identity: when an archiver was there last."""
FORGOTTEN_SECONDS = 30 * 86_400.0
"""After which it isn't expected any more, and nothing is noted for it."""
_CHECK_SECONDS = 1.0
_TABLE_SECONDS = 120.0  # until a table that is made can be used
_CONFLICT_SECONDS = 10.0  # for which a write that conflicts with others is tried again
_TRANSIENT = {
    "TransactionConflict",
    "ConditionalCheckFailed",
    "ThrottlingError",
    "ProvisionedThroughputExceeded",
    "None",
}
_BATCH_READ, _BATCH_WRITE = 100, 25  # DynamoDB's own limits
_LAST = "\U0010ffff"  # above any sort key
_log = logging.getLogger(__name__)

Action = dict[str, Any]
"""One of `TransactWriteItems`' `Put`, `Update`, `Delete`, `ConditionCheck`, without its table."""


class Cancelled(Exception):
    """A transaction wrote nothing; `reasons` holds DynamoDB's code for each of its actions ("None" for those in order)."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__(", ".join(reasons))
        self.reasons = reasons


class DynamoClient:
    """One table. Thread-safe."""

    def __init__(self, url: str, timeout: float, create: bool) -> None:
        """`timeout`: seconds for each connect and reply; `create`: whether table and store may be made where there are none.

        A service that doesn't answer now is tried, and the table checked, again with each call: a router starts without it.

        Raises:
            StoreMisconfigured: the table is there, and must not be used as it is.
            StoreMissing: there is no store, nor may one be made.
        """
        address = parse_address(url)
        self.shown = f"dynamodb://{address.table}"
        self._table, self._create = address.table, create
        self._client = connect(address, timeout)
        self.idle_seconds = address.idle
        self.archives = False
        """Whether what is written is noted for an archiver."""
        self._identity = ""  # of the store that this process works with; adopted from the first that answers
        self._check_at = 0.0  # monotonic
        try:
            self._check()
        except (StoreMisconfigured, StoreMissing):
            raise
        except StoreError as error:
            _log.warning("starting without the state store: %s", error)

    def get(self, key: Key) -> Item | None:
        self._check()
        return self._get(key)

    def get_many(self, keys: Sequence[Key]) -> list[Item]:
        """Those that are there, in any order."""
        self._check()
        found: list[Item] = []
        for start in range(0, len(keys), _BATCH_READ):
            left = [key.item() for key in keys[start : start + _BATCH_READ]]
            for _ in self.attempts():
                request = {self._table: {"Keys": left, "ConsistentRead": True}}
                answer = self._call("batch_get_item", RequestItems=request)
                found += answer["Responses"].get(self._table, [])
                left = answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
                if not left:
                    break
        return found

    def query(
        self,
        partition: str,
        above: str = "",
        below: str = _LAST,
        limit: int | None = None,
        backward: bool = False,
    ) -> Iterator[Item]:
        """Items of a partition whose sort key lies strictly between, in its order; `limit` is of a request, not of all."""
        self._check()
        parameters: dict[str, Any] = {
            "KeyConditionExpression": "pk = :pk AND sk BETWEEN :above AND :below",
            "ExpressionAttributeValues": {":pk": text(partition), ":above": text(above or " "), ":below": text(below)},
        }
        if limit is not None:
            parameters["Limit"] = max(1, limit + 1)
        if backward:
            parameters["ScanIndexForward"] = False
        for item in self._pages("query", parameters):
            if above < item["sk"]["S"] < below:
                yield item

    def scan(self, condition: str, values: Mapping[str, Any], projection: str | None = None) -> Iterator[Item]:
        """Items of the whole table that fulfil a filter expression; `#at` stands for the attribute `at`."""
        self._check()
        parameters: dict[str, Any] = {"FilterExpression": condition, "ExpressionAttributeValues": values}
        if "#at" in condition:
            parameters["ExpressionAttributeNames"] = {"#at": "at"}
        if projection is not None:
            parameters["ProjectionExpression"] = projection
        return self._pages("scan", parameters)

    def transact(self, actions: Sequence[Action]) -> None:
        """Raises: Cancelled, if others were in the way or a condition doesn't hold."""
        self._check()
        for action in actions:
            for each in action.values():
                each["TableName"] = self._table
        self._call("transact_write_items", TransactItems=list(actions))

    def write_if(self, action: Mapping[str, Any], operation: str) -> bool:
        """One `put_item` or `update_item` with its condition; False if that doesn't hold."""
        self._check()
        try:
            self._call(operation, **action)
        except _ConditionFailed:
            return False
        return True

    def put_all(self, items: Sequence[Item]) -> None:
        self._batch([{"PutRequest": {"Item": item}} for item in items])

    def delete_all(self, keys: Sequence[Item]) -> None:
        self._batch([{"DeleteRequest": {"Key": {"pk": key["pk"], "sk": key["sk"]}}} for key in keys])

    def probe(self) -> None:
        """Write something, to see that it can be done."""
        self._check()
        self._call("put_item", Item={**_PROBE.item(), "at": number(time.time())})

    def verify(self) -> None:
        """After a write: it went into the store that this process began with.

        Raises:
            StoreReplaced: it didn't, or may not have.
        """
        self._verify()
        self._check_at = time.monotonic() + _CHECK_SECONDS

    def attempts(self) -> Iterator[int]:
        """Tries of a write that others may be in the way of, with a growing, random pause in between.

        Raises:
            StoreError: they were for too long.
        """
        deadline, number_of_try = time.monotonic() + _CONFLICT_SECONDS, 0
        while time.monotonic() < deadline:
            yield number_of_try
            number_of_try += 1
            time.sleep(random.uniform(0, min(0.2, 0.002 * 2**number_of_try)))
        raise StoreError(f"{self.shown}: too many writers at once, or the table's capacity is used up; try again later")

    def close(self) -> None:
        self._client.close()

    def _get(self, key: Key) -> Item | None:
        item: Item | None = self._call("get_item", Key=key.item(), ConsistentRead=True).get("Item")
        return item

    def _pages(self, operation: str, parameters: dict[str, Any]) -> Iterator[Item]:
        while True:
            answer = self._call(operation, ConsistentRead=True, **parameters)
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            parameters["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _batch(self, requests: Sequence[Any]) -> None:
        self._check()
        for start in range(0, len(requests), _BATCH_WRITE):
            left = list(requests[start : start + _BATCH_WRITE])
            for _ in self.attempts():
                answer = self._call("batch_write_item", RequestItems={self._table: left})
                left = answer.get("UnprocessedItems", {}).get(self._table, [])
                if not left:
                    break

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        if operation not in ("transact_write_items", "batch_get_item", "batch_write_item"):
            parameters["TableName"] = self._table
        with self._errors():
            answer: dict[str, Any] = getattr(self._client, operation)(**parameters)
            return answer

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except botocore.exceptions.ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "ConditionalCheckFailedException":
                raise _ConditionFailed from error
            if code == "TransactionCanceledException":
                reasons = [reason.get("Code") or "None" for reason in error.response.get("CancellationReasons", ())]
                if reasons and _TRANSIENT.issuperset(reasons):
                    raise Cancelled(reasons) from error
            if code in ("TransactionConflictException", "TransactionInProgressException"):
                raise Cancelled(["TransactionConflict"]) from error
            self._check_at = 0.0
            if code == "ResourceNotFoundException":
                if self._identity:
                    raise StoreReplaced(f"{self.shown}: the table is gone; {REPLACED_ADVICE}") from error
                raise _NoTable(
                    f"{self.shown}: no such table in {self._client.meta.region_name}; {MISSING_ADVICE}"
                ) from error
            raise StoreError(f"{self.shown}: {advice(code)} ({error})") from error
        except botocore.exceptions.BotoCoreError as error:
            self._check_at = 0.0
            raise StoreError(f"{self.shown}: {unreached(error)} ({error})") from error

    def _check(self) -> None:
        """Examine the table: at first, after each error, and from time to time."""
        if time.monotonic() < self._check_at:
            return
        if not self._identity:
            self._adopt()
        self.verify()

    def _verify(self) -> None:
        item = self._get(IDENTITY)
        identity = item["identity"]["S"] if item else ""
        seen = float(item[ARCHIVE_SEEN]["N"]) if item and ARCHIVE_SEEN in item else 0.0
        self.archives = seen > time.time() - FORGOTTEN_SECONDS
        if identity != self._identity:
            self._check_at = 0.0
            what = "holds another store" if identity else "has lost its store"
            raise StoreReplaced(f"{self.shown}: the table {what}; {REPLACED_ADVICE}")

    def _adopt(self) -> None:
        """Take what is there for the store of this process; make it, if that is allowed."""
        try:
            table = self._call("describe_table")["Table"]
        except _NoTable:
            if not self._create:
                raise
            table = self._create_table()
        keys = {key["KeyType"]: key["AttributeName"] for key in table["KeySchema"]}
        if keys != {"HASH": "pk", "RANGE": "sk"}:
            raise StoreMisconfigured(
                f"{self.shown}: the table's keys are {keys}, not those of a state store (`pk` and `sk`, both strings);"
                " name another table in `state:`, or one that doesn't exist yet"
            )
        identity = self._get(IDENTITY)
        if identity is None:
            if not self._create:
                raise StoreMissing(f"{self.shown}: {MISSING_ADVICE}")
            new = "attribute_not_exists(pk)"
            log = {"log": text(secrets.token_hex(16)), "first": number(1), "tail": number(0)}
            self._once(Item={**_HEAD.item(), **log}, ConditionExpression=new)
            made = {"identity": text(secrets.token_hex(16)), "schema": number(SCHEMA)}
            self._once(Item={**IDENTITY.item(), **made}, ConditionExpression=new)
            identity = self._get(IDENTITY)
        if identity is None:
            raise StoreError(f"{self.shown}: the table doesn't keep what is written; try again")
        if int(identity["schema"]["N"]) > SCHEMA:
            raise StoreMisconfigured(
                f"{self.shown}: written by a newer llm-router (state schema {identity['schema']['N']}, this build knows"
                f" {SCHEMA}); upgrade this one, or use another table"
            )
        self._identity = identity["identity"]["S"]

    def _once(self, **parameters: Any) -> None:
        try:
            self._call("put_item", **parameters)
        except _ConditionFailed:
            _log.debug("%s: another router made it first", self.shown)

    def _create_table(self) -> dict[str, Any]:
        """On demand, so that no capacity has to be planned; what expires is removed by DynamoDB."""
        _log.warning("%s: made, as there is no such table", self.shown)
        keys = (("pk", "HASH"), ("sk", "RANGE"))
        try:
            self._client.create_table(
                TableName=self._table,
                KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
                AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
                BillingMode="PAY_PER_REQUEST",
            )
            self._client.get_waiter("table_exists").wait(
                TableName=self._table, WaiterConfig={"Delay": 2, "MaxAttempts": int(_TABLE_SECONDS / 2)}
            )
            self._client.update_time_to_live(
                TableName=self._table, TimeToLiveSpecification={"Enabled": True, "AttributeName": TTL_ATTRIBUTE}
            )
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in (
                "ResourceInUseException",
                "ValidationException",
            ):  # others make it
                raise StoreError(f"{self.shown}: can't be made ({error}); make it, or grant the rights") from error
        except botocore.exceptions.BotoCoreError as error:
            raise StoreError(f"{self.shown}: {unreached(error)} ({error})") from error
        table: dict[str, Any] = self._call("describe_table")["Table"]
        return table


class _ConditionFailed(Exception):
    """Of a write of a single item."""


class _NoTable(StoreMissing):
    """In the region that was asked."""
