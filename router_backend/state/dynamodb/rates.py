"""Rates of all gateways, as items: one a bucket, which is changed if nobody else has changed it meanwhile, and one a gateway."""

from __future__ import annotations

import time
from collections.abc import Sequence

from router_backend.state.dynamodb.client import DynamoClient
from router_backend.state.dynamodb.items import Key, number
from router_backend.state.rates import GATEWAY_SECONDS, KEPT_SECONDS, Levels, Use, refilled

_GATEWAYS = "gateways"


def draw(client: DynamoClient, gateway: str, uses: Sequence[Use]) -> Levels:
    """Times are of those who write: there is no clock of the service. A wrong one refills too early or too late."""
    left = {use.name: _draw(client, use) for use in uses}
    now = time.time()
    seen = {"seen": number(now), "expires": number(int(now + KEPT_SECONDS))}
    client.write_if({"Item": {**Key(_GATEWAYS, gateway).item(), **seen}}, "put_item")
    times = [float(item["seen"]["N"]) for item in client.query(_GATEWAYS)]
    return Levels(gateways=sum(abs(now - at) < GATEWAY_SECONDS for at in times), left=left)


def _draw(client: DynamoClient, use: Use) -> float:
    key, left = Key(f"rate#{use.name}", "rate"), 0.0
    for _ in client.attempts():
        item, now = client.get(key), time.time()
        turn = 0 if item is None else int(item["turn"]["N"])
        tokens, at = (use.per_minute, now) if item is None else (float(item["left"]["N"]), float(item["at"]["N"]))
        left = refilled(tokens, now - at, use.per_minute) - use.used
        until = int(now + KEPT_SECONDS)
        fields = {"left": number(left), "at": number(now), "turn": number(turn + 1), "expires": number(until)}
        put = {
            "Item": {**key.item(), **fields},
            "ConditionExpression": "attribute_not_exists(pk) OR turn = :turn",
            "ExpressionAttributeValues": {":turn": number(turn)},
        }
        if client.write_if(put, "put_item"):
            break
    return left
