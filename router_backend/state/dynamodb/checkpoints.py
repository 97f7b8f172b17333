"""Checkpoints, in parts of an item's size, and leases."""

from __future__ import annotations

import time
from typing import Any

from router_backend.state.dynamodb.client import Cancelled, DynamoClient
from router_backend.state.dynamodb.items import Item, Key, binary, number, sequence_digits, text
from router_backend.state.dynamodb.log import Log
from router_backend.state.store import CHECKPOINT_DAYS

_PART = 350_000  # bytes; an item holds 400 KB
_KEPT = 2  # of a key: if the latest is damaged, the one before it serves
_WRONG_CLOCK = 10  # times a lease's length: one that ends later was taken by a clock that is wrong


def save_checkpoint(client: DynamoClient, log: Log, key: str, name: str, sequence: int, data: bytes) -> bool:
    """The parts first, and then, in one step, the manifest that names them."""
    partition, expires = f"checkpoint#{key}", number(int(time.time() + 86_400 * CHECKPOINT_DAYS))
    manifest = client.get(Key(partition, "manifest"))
    held = [] if manifest is None else [int(each["N"]) for each in manifest["kept"]["L"]]  # the latest first
    if held and held[0] >= sequence:
        return False
    parts = [
        {**Key(partition, f"{sequence_digits(sequence)}#{place:06d}").item(), "body": binary(part), "expires": expires}
        for place, part in enumerate(data[start : start + _PART] for start in range(0, len(data), _PART))
    ]
    client.put_all(parts)
    kept = [sequence, *held][:_KEPT]
    put: dict[str, Any] = {
        "Item": {
            **Key(partition, "manifest").item(),
            "kept": {"L": [number(each) for each in kept]},
            "expires": expires,
        },
        "ConditionExpression": "attribute_not_exists(pk)",
    }
    if held:
        put |= {"ConditionExpression": "kept[0] = :held", "ExpressionAttributeValues": {":held": number(held[0])}}
    for _ in client.attempts():
        try:
            client.transact([{"Put": put}, log.is_still(name)])
            break
        except Cancelled as cancelled:
            if "ConditionalCheckFailed" in cancelled.reasons:
                return False
    client.verify()
    current = {sequence_digits(each) for each in kept}
    stale = [
        item for item in client.query(partition, below="manifest") if item["sk"]["S"].partition("#")[0] not in current
    ]
    client.delete_all(stale)
    return True


def get_checkpoints(client: DynamoClient, key: str) -> list[bytes]:
    partition = f"checkpoint#{key}"
    manifest = client.get(Key(partition, "manifest"))
    if manifest is None:
        return []
    sequences = [sequence_digits(int(each["N"])) for each in manifest["kept"]["L"]]
    found = [b"".join(item["body"]["B"] for item in _parts(client, partition, digits)) for digits in sequences]
    return [data for data in found if data]


def held(client: DynamoClient, key: str) -> int:
    """The position of the older of two checkpoints, or of the only one; 0: there is none."""
    manifest = client.get(Key(f"checkpoint#{key}", "manifest"))
    return 0 if manifest is None else int(manifest["kept"]["L"][-1]["N"])


def renew(client: DynamoClient, key: str) -> None:
    """Somebody starts from these checkpoints: they are kept for as long again. Once a day: the parts are large."""
    partition, now = f"checkpoint#{key}", time.time()
    manifest = client.get(Key(partition, "manifest"))
    if manifest is None or float(manifest["expires"]["N"]) > now + 86_400 * (CHECKPOINT_DAYS - 1):
        return
    until = number(int(now + 86_400 * CHECKPOINT_DAYS))
    for item in client.query(partition):
        update = {
            "Key": Key(partition, item["sk"]["S"]).item(),
            "UpdateExpression": "SET expires = :until",
            "ConditionExpression": "attribute_exists(pk)",
            "ExpressionAttributeValues": {":until": until},
        }
        client.write_if(update, "update_item")


def _parts(client: DynamoClient, partition: str, digits: str) -> list[Item]:
    return list(client.query(partition, above=f"{digits}#", below=f"{digits}#~"))


def claim(client: DynamoClient, name: str, holder: str, seconds: float) -> bool:
    now = time.time()
    put: dict[str, Any] = {
        "Item": {
            **Key(f"lease#{name}", "lease").item(),
            "holder": text(holder),
            "ends": number(now + seconds),
            "expires": number(int(now + seconds + 86_400)),
        },
        "ConditionExpression": "attribute_not_exists(pk) OR holder = :holder OR ends < :now OR ends > :late",
        "ExpressionAttributeValues": {
            ":holder": text(holder),
            ":now": number(now),
            ":late": number(now + _WRONG_CLOCK * seconds),
        },
    }
    return client.write_if(put, "put_item")
