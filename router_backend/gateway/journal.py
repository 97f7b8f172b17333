"""Outcomes on this machine's disk until they are reported, so that none is lost with the process.

A record is a line, `crc32 json`: whatever damages one, reading goes on at the next. It is written by one `write` and not
synced: it survives the process, not a loss of power. A file belongs to the process that has locked it; the kernel ends
the lock with the process, and another one that uses the same folder adopts the file. Records are reported at least
once, and the store keeps each id once.

When all records of a file are reported, a line says so. Emptying the file each time would be less to read after a crash, but
waits for the file system's own journal, which the store's syncs keep busy: milliseconds in which the loop does nothing.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

from router_backend.core.records import Decision, Outcome
from router_backend.state.codec import RecordError, decode_records, encode_records

_SEGMENT_BYTES = 1024 * 1024
_EMPTIED_BYTES = 256 * 1024
"""Of records that are all reported: so much is read again after a crash, and no more."""
_SUFFIX = ".journal"
_log = logging.getLogger("llm_router.gateway")

Records = tuple[list[Decision], list[Outcome]]


class Segment:
    """One locked file, and how many of its records are not reported yet."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path, self._descriptor = path, descriptor
        self._size = self._waiting = 0
        self._torn = False  # half a record is in it: one written behind it could not be read
        self._closed = False  # nothing is added any more
        self.gone = False  # the file is removed

    @property
    def full(self) -> bool:
        return self._torn or self._size >= _SEGMENT_BYTES

    def add(self, line: bytes) -> None:
        """Raises OSError when it can't be written; nothing of it is left then, or the segment is `full`."""
        try:
            written = os.write(self._descriptor, line)
            if written < len(line):  # the disk became full within the line
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            self._torn = True
            os.ftruncate(self._descriptor, self._size)
            self._torn = False
            raise
        self._size += len(line)
        self._waiting += 1

    def adopt(self) -> list[bytes]:
        """The lines that another process has left."""
        with os.fdopen(os.dup(self._descriptor), "rb") as file:
            lines = file.read().splitlines()
        lines = lines[_after_last(lines, REPORTED) :]
        self._waiting = len(lines)
        return lines

    def reported(self) -> None:
        """One record is in the store, or will never be."""
        self._waiting -= 1
        if self._waiting:
            return
        if self._closed:
            self._remove()
        elif self._size >= _EMPTIED_BYTES or not self._mark():
            os.ftruncate(self._descriptor, 0)
            self._size = 0

    def close(self) -> None:
        """Nothing more is added. The file goes with its last record."""
        if not self._closed:
            self._closed = True
            if not self._waiting:
                self._remove()

    def leave(self) -> None:
        """The process ends: what waits is for its successor."""
        self.close()
        if not self.gone:
            os.close(self._descriptor)

    def _mark(self) -> bool:
        """Say that all before is reported; False if that can't be written."""
        try:
            written = os.write(self._descriptor, REPORTED + b"\n")
        except OSError:
            return False
        self._size += written
        return written > len(REPORTED)

    def _remove(self) -> None:
        self.gone = True
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


class Journal:
    """The segments of one process. Several processes may use one folder."""

    def __init__(self, folder: Path, on_failure: Callable[[], None] = lambda: None) -> None:
        """`on_failure` hears of each record that can't be written.

        Raises:
            ValueError: the folder can't be made or written to.
        """
        self._folder, self._on_failure = folder, on_failure
        self._others: list[Segment] = []  # adopted ones and full ones
        self.failure = ""  # why the last record could not be written; empty: it was
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._active = self._new()
        except OSError as error:
            raise ValueError(f"the journal {folder} can't be written ({error.strerror}); name another folder") from None

    def append(self, decision: Decision | None, outcome: Outcome) -> Segment | None:
        """Write a record; whoever has reported it says so to the segment. None: it could not be written.

        Never raises: an answer doesn't fail for its record.
        """
        try:
            segment = self._writable()
            segment.add(line_of(encode_records([decision] if decision else [], [outcome])))
        except (OSError, ValueError, TypeError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
            if not self.failure:
                _log.error(
                    "outcomes are kept in memory only, the journal %s can't be written: %s", self._folder, reason
                )
            self.failure = reason
            self._on_failure()
            return None
        if self.failure:
            _log.info("the journal is written again")
            self.failure = ""
        return segment

    def orphans(self) -> Iterator[tuple[Segment, Records]]:
        """What ended processes have left in the folder, from now on this one's."""
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            segment = _locked(path)
            if segment is None:
                continue
            lines = segment.adopt()
            self._others.append(segment)
            damaged = 0
            for line in lines:
                try:
                    records = read_line(line)
                except RecordError:
                    damaged += 1
                    segment.reported()
                else:
                    yield segment, records
            if damaged:
                _log.warning("%d damaged records of %s are skipped", damaged, path.name)
            segment.close()

    def close(self) -> None:
        """Let go of all segments; what is not reported waits for the next process."""
        for segment in (*self._others, self._active):
            if not segment.gone:
                segment.leave()

    def _writable(self) -> Segment:
        if self._active.full:
            before, self._active = self._active, self._new()
            before.close()
            self._others = [other for other in (*self._others, before) if not other.gone]
        return self._active

    def _new(self) -> Segment:
        path = self._folder / f"{uuid.uuid4().hex}{_SUFFIX}"
        unlocked = path.with_suffix(".new")  # nobody adopts a file of that name
        descriptor = os.open(unlocked, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        unlocked.rename(path)
        return Segment(path, descriptor)


def _locked(path: Path) -> Segment | None:
    """A segment that no living process holds."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink:
            return Segment(path, descriptor)
    except BlockingIOError:
        pass
    os.close(descriptor)
    return None


def line_of(records: bytes) -> bytes:
    return b"%08x %s\n" % (crc32(records), records)


REPORTED = line_of(b'"reported"').rstrip()


def _after_last(lines: list[bytes], line: bytes) -> int:
    """Where what follows the last such line begins."""
    return next((at + 1 for at in reversed(range(len(lines))) if lines[at] == line), 0)


def read_line(line: bytes) -> Records:
    """Raises RecordError when a line is not as it was written."""
    checksum, _, records = line.partition(b" ")
    if checksum != b"%08x" % crc32(records):
        raise RecordError("a record's checksum is wrong")
    decisions, outcomes, _ = decode_records(records)
    return decisions, outcomes
