"""Work that goes on for as long as its process. An error ends one round of it, never the work, and is said."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import traceback
from collections.abc import Awaitable, Callable

PAUSES = (0.1, 30.0)  # seconds before it begins again, doubled from the first to the second
CALM_SECONDS = 60.0
"""After so long without an error the next one is a first one again."""
_log = logging.getLogger(__name__)

Failed = Callable[[str], object]
"""Hears the name of work that has failed, to count it."""


class _Rounds:
    """What each end by an error means for the next round."""

    def __init__(self, name: str, failed: Failed | None) -> None:
        self._name, self._failed, self._pause, self._began = name, failed, 0.0, time.monotonic()

    def failure(self, error: Exception) -> float:
        """Say and count it; returns the seconds to wait."""
        calm = time.monotonic() - self._began > CALM_SECONDS
        self._pause = PAUSES[0] if calm or not self._pause else min(PAUSES[1], 2 * self._pause)
        # Without its message, which may repeat what a client or a model wrote.
        where = "".join(traceback.format_tb(error.__traceback__))
        text = "%s failed with %s and begins again in %.3g s\n%s"
        _log.error(text, self._name, type(error).__name__, self._pause, where)
        if self._failed:
            self._failed(self._name)
        return self._pause

    def begin(self) -> None:
        self._began = time.monotonic()


async def kept(name: str, work: Callable[[], Awaitable[None]], failed: Failed | None = None) -> None:
    """Do `work` until it returns, from its start again after each error."""
    rounds = _Rounds(name, failed)
    while True:
        rounds.begin()
        try:
            return await work()
        except Exception as error:
            pause = rounds.failure(error)
        await asyncio.sleep(pause)


def kept_thread(name: str, work: Callable[[], None], failed: Failed | None = None) -> threading.Thread:
    """A thread that does so; it doesn't keep the process alive. The caller starts it."""

    def run() -> None:
        rounds = _Rounds(name, failed)
        while True:
            rounds.begin()
            try:
                return work()
            except Exception as error:
                pause = rounds.failure(error)
            time.sleep(pause)

    return threading.Thread(target=run, name=name, daemon=True)
