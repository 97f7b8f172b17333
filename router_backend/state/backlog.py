"""Says to the other processes of this machine that decisions wait in one's memory, because the store takes nothing.

It can't be said in a file: the disk may be full. An advisory lock needs no space, and ends with its process, as what
waits does.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

_TRIES, _PAUSE_SECONDS = 3, 0.002  # against those who look at the same moment


class Backlog:
    """A lock on a file of the state folder, shared by all who have something waiting."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(folder / "backlog.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def hold(self) -> None:
        """Something waits here; may be said again."""
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def release(self) -> None:
        """Nothing waits here any more."""
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def held(self) -> bool:
        """Whether something waits in another holder."""
        for _ in range(_TRIES):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_PAUSE_SECONDS)
                continue
            fcntl.flock(self._file, fcntl.LOCK_UN)
            return False
        return True

    def close(self) -> None:
        os.close(self._file)
