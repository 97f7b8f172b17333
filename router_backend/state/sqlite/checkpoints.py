"""Checkpoints of what was learned, and the leases of those who write them, as rows."""

from __future__ import annotations

import sqlite3
import time

from router_backend.state.store import CHECKPOINT_DAYS

_FORGOTTEN_SECONDS = 86_400.0  # after its end a lease is nobody's, and its row goes
_KEPT = 2  # of a key: if the latest is damaged, the one before it serves


def log_name(connection: sqlite3.Connection) -> str:
    (name,) = connection.execute("SELECT value FROM meta WHERE name = 'log'").fetchone()
    return str(name)


def get_checkpoints(connection: sqlite3.Connection, key: str) -> list[bytes]:
    rows = connection.execute("SELECT body FROM checkpoints WHERE key = ? ORDER BY sequence DESC", (key,))
    return [body for (body,) in rows]


def put_checkpoint(connection: sqlite3.Connection, key: str, sequence: int, body: bytes) -> bool:
    """False if there is one of this position or a later one."""
    held = [row[0] for row in connection.execute("SELECT sequence FROM checkpoints WHERE key = ? ORDER BY 1", (key,))]
    if held and held[-1] >= sequence:
        return False
    now = time.time()
    connection.execute("INSERT INTO checkpoints VALUES (?, ?, ?, ?)", (key, sequence, now, body))
    for old in held[: len(held) + 1 - _KEPT]:
        connection.execute("DELETE FROM checkpoints WHERE key = ? AND sequence = ?", (key, old))
    connection.execute("DELETE FROM checkpoints WHERE written < ?", (now - 86_400 * CHECKPOINT_DAYS,))
    return True


def put_claim(connection: sqlite3.Connection, name: str, holder: str, seconds: float) -> bool:
    now = time.time()
    connection.execute("DELETE FROM leases WHERE ends < ?", (now - _FORGOTTEN_SECONDS,))
    # One that ends later than it was ever taken for was made under a wrong clock.
    claimed = connection.execute(
        "INSERT INTO leases VALUES (:name, :holder, :ends) ON CONFLICT (name) DO UPDATE"
        " SET holder = :holder, ends = :ends WHERE holder = :holder OR ends < :now OR ends > :now + 10 * :seconds",
        {"name": name, "holder": holder, "ends": now + seconds, "now": now, "seconds": seconds},
    )
    return claimed.rowcount == 1
