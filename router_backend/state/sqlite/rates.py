"""Rates of all gateways, as rows."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence

from router_backend.state.rates import GATEWAY_SECONDS, KEPT_SECONDS, Levels, Use, refilled


def draw(connection: sqlite3.Connection, gateway: str, uses: Sequence[Use]) -> Levels:
    now = time.time()
    connection.execute(
        "DELETE FROM gateways WHERE seen < ? OR seen > ?", (now - GATEWAY_SECONDS, now + GATEWAY_SECONDS)
    )
    connection.execute("INSERT OR REPLACE INTO gateways VALUES (?, ?)", (gateway, now))
    (gateways,) = connection.execute("SELECT count(*) FROM gateways").fetchone()
    connection.execute("DELETE FROM rates WHERE at < ?", (now - KEPT_SECONDS,))
    left = {}
    for use in uses:
        row = connection.execute("SELECT tokens, at FROM rates WHERE name = ?", (use.name,)).fetchone()
        tokens = float(use.per_minute) if row is None else refilled(row[0], now - row[1], use.per_minute)
        left[use.name] = tokens - use.used
        connection.execute("INSERT OR REPLACE INTO rates VALUES (?, ?, ?)", (use.name, left[use.name], now))
    return Levels(gateways=gateways, left=left)
