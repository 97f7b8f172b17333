"""Memory that all workers of a gateway map: what each must know of the others before it answers a request.

It belongs to the parent's lifetime and to no file, and a worker that is killed leaves it as it is. Numbers are read without a
lock; a number that several workers change is changed under the lock of its record, which the kernel frees with its process.
A lock that isn't free for a millisecond is a frozen worker's: it is passed over, and two changes may then count as one.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import mmap
import os
import time
from collections.abc import Iterator

from router_backend.gateway.keys.rates import NUMBERS as _RATE
from router_backend.gateway.workers.place import Place

_DOUBLE = 8
_HEAD = 2  # numbers in front of a record's own: the digest of its name
_NAMES = 16_384  # records of a table; one is never removed
_ARMS = 2_048
_LOCK_SECONDS = 0.001
SESSION_BYTES = 256
SESSION_WAYS = 8
_SPENT = 2  # period and USD: as the store knows it, and again of each worker


class Full(RuntimeError):
    """A table has no room for another name."""


def allocate(workers: int, sessions: int) -> int:
    """An open file of the size that `Shared` needs."""
    descriptor = os.memfd_create("llm-router-gateway")
    os.ftruncate(descriptor, _size(workers, sessions))
    return descriptor


def _size(workers: int, sessions: int) -> int:
    tables = _NAMES * (_HEAD + _RATE) + _NAMES * (_HEAD + _SPENT * (1 + workers)) + _ARMS * (_HEAD + workers)
    return tables * _DOUBLE + session_buckets(sessions) * SESSION_WAYS * SESSION_BYTES


def session_buckets(sessions: int) -> int:
    """Twice the room that is asked for: a bucket that is full forgets its oldest, whatever room others have."""
    return -(-2 * sessions // SESSION_WAYS)


class Shared:
    """One process's view of it."""

    def __init__(self, place: Place) -> None:
        self.index, self.workers = place.index, place.count
        size = _size(place.count, place.sessions)
        memory = memoryview(mmap.mmap(place.memory, size))
        at = 0

        def table(records: int, numbers: int) -> Table:
            nonlocal at
            start, at = at, at + records * (_HEAD + numbers) * _DOUBLE
            return Table(memory[start:at], place.memory, start, records, numbers)

        self.rates = table(_NAMES, _RATE)
        self.spent = table(_NAMES, _SPENT * (1 + place.count))
        self.slots = table(_ARMS, place.count)
        self.sessions = memory[at:]

    def forget_slots(self, index: int) -> None:
        """A worker has ended: none of its calls runs any more."""
        for record in self.slots:
            self.slots.numbers[record + index] = 0.0


class Table:
    """Records of numbers by name, such as `numbers[find("a") + 1]`: a record is the place of its first number."""

    def __init__(self, memory: memoryview, descriptor: int, start: int, records: int, length: int) -> None:
        self._bytes, self._descriptor, self._start = memory, descriptor, start
        self._records, self._step = records, _HEAD + length
        self.numbers = memory.cast("d")
        self._found: dict[str, int] = {}

    def find(self, name: str) -> int:
        """The record of a name, new where there is none: zeros.

        Raises:
            Full: there is no room for it.
        """
        record = self._found.get(name)
        if record is None:
            digest = hashlib.blake2b(name.encode(), digest_size=_HEAD * _DOUBLE).digest()
            record = self._probe(digest, make=False)
            if record < 0:
                with self._lock(0, self._records * self._step * _DOUBLE, seconds=1.0):
                    record = self._probe(digest, make=True)
            if record < 0:
                raise Full(name)
            self._found[name] = record
        return record

    def __iter__(self) -> Iterator[int]:
        """All records that have a name."""
        for index in range(self._records):
            if any(self._digest(index)):
                yield index * self._step + _HEAD

    @contextlib.contextmanager
    def changing(self, record: int) -> Iterator[None]:
        """Nobody else changes a record meanwhile."""
        with self._lock(record * _DOUBLE, 1, _LOCK_SECONDS):
            yield

    def _probe(self, digest: bytes, make: bool) -> int:
        first = int.from_bytes(digest[:8], "little")
        for step in range(self._records):
            index = (first + step) % self._records
            there = self._digest(index)
            if there == digest:
                return index * self._step + _HEAD
            if not any(there):
                if not make:
                    return -1
                at = index * self._step * _DOUBLE
                self._bytes[at : at + len(digest)] = digest
                return index * self._step + _HEAD
        return -1

    def _digest(self, index: int) -> bytes:
        at = index * self._step * _DOUBLE
        return bytes(self._bytes[at : at + _HEAD * _DOUBLE])

    @contextlib.contextmanager
    def _lock(self, at: int, length: int, seconds: float) -> Iterator[None]:
        """A lock of bytes of the file, which excludes other processes and no other part of this one."""
        until, held = time.monotonic() + seconds, False
        while not held and time.monotonic() < until:
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, length, self._start + at)
                held = True
            except OSError:
                os.sched_yield()
        try:
            yield
        finally:
            if held:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN, length, self._start + at)
