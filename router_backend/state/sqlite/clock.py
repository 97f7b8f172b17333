"""How old records are, by a clock that may be wrong.

What a wrong clock removes is gone for good, and a machine may start with any clock. So the time up to which records are
dated is kept in the store, and follows the clock as long as that goes on plausibly. After a jump it only catches up, by a
day an hour: a store that lay still for a month is behind for a day, and a clock that is a year ahead is seen in time.
"""

from __future__ import annotations

import logging
import sqlite3
import time

_PLAUSIBLE_SECONDS = 7 * 86_400.0  # between two looks; a longer stop is taken for a jump
_CATCH_UP = 24.0
_log = logging.getLogger(__name__)


class RetentionClock:
    """The time that records are dated by; never ahead of the system's clock."""

    def __init__(self) -> None:
        self._looked = time.monotonic()

    def now(self, connection: sqlite3.Connection) -> float:
        """Unix seconds; moves the kept time on, within the caller's transaction."""
        system, monotonic = time.time(), time.monotonic()
        running, self._looked = monotonic - self._looked, monotonic
        (kept,) = connection.execute("SELECT value FROM meta WHERE name = 'clock'").fetchone()
        now = system
        if system - kept > _PLAUSIBLE_SECONDS + running:
            now = min(system, kept + _CATCH_UP * running)
            _log.warning(
                "the clock is %.0f days ahead of when the store was last used: if that is wrong, set it right;"
                " until then old records are removed only slowly",
                (system - kept) / 86_400,
            )
        connection.execute("UPDATE meta SET value = ? WHERE name = 'clock'", (now,))
        return now
