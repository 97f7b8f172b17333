"""The file under the database: whose it is to read, and whether it is still the one that was opened."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
from pathlib import Path

from router_backend.state.store import REPLACED_ADVICE, StoreReplaced

_OTHERS = stat.S_IRWXO
_log = logging.getLogger(__name__)


def keep_private(path: Path, create: bool = False) -> None:
    """Close a file to other users; one that is made starts so. What may not be changed is left, and said.

    SQLite gives its other files (the log, the shared memory) the database's own mode.
    """
    try:
        if create and not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        elif path.stat().st_mode & _OTHERS:
            path.chmod(0o600)
            _log.warning("%s could be read by other users of this machine; now only by its owner", path)
    except FileNotFoundError:
        pass
    except OSError as error:
        _log.warning("%s may be read by other users of this machine: %s", path, error)


class FileIdentity:
    """The file and the store in it, as they were when they were opened."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._paths = [path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")]
        for other in self._paths[1:]:
            keep_private(other)
        self._shown = path
        self._identity = _identity(connection)
        self._files = [_file(each) for each in self._paths]

    def check(self, connection: sqlite3.Connection) -> None:
        """Compare with what is there now; two system calls and a read from memory.

        Raises:
            StoreReplaced: the path leads elsewhere, or the file holds another store.
        """
        for path, before in zip(self._paths[:2], self._files, strict=False):
            found = _file(path)
            if before is not None and found != before:
                change = "was removed" if found is None else "was replaced by another file"
                raise StoreReplaced(f"{path}: the open file {change}; {REPLACED_ADVICE}")
        if _identity(connection) != self._identity:
            raise StoreReplaced(f"{self._shown}: another store was copied into the file; {REPLACED_ADVICE}")


def _identity(connection: sqlite3.Connection) -> str:
    row = connection.execute("SELECT value FROM meta WHERE name = 'identity'").fetchone()
    return str(row[0]) if row else ""


def _file(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    if status.st_mode & _OTHERS:
        keep_private(path)
    return status.st_dev, status.st_ino
