"""Sessions of all workers: a client's next request may come to another one than its last."""

from __future__ import annotations

import struct
import time
from zlib import crc32

from router_backend.gateway.memory import Sessions, digest
from router_backend.gateway.workers.shared import SESSION_BYTES, SESSION_WAYS, Shared

_HEAD = struct.Struct("=16sdIH")  # digest, time of the last use, checksum of digest and name, length of the name
_USED = struct.Struct("=d")
_USED_AT = 16
_NAME_BYTES = SESSION_BYTES - _HEAD.size


class SharedSessions(Sessions):
    """A session stands in one bucket, by its digest, and takes the place of the one there that was used longest ago.

    Nothing is locked: a checksum says whether a record was read while another worker wrote it. Then nothing is remembered.
    A model with a name of more than 200 bytes isn't either.
    """

    def __init__(self, shared: Shared) -> None:
        super().__init__(1)
        self._memory = shared.sessions
        self._bucket_bytes = SESSION_BYTES * SESSION_WAYS
        self._buckets = len(self._memory) // self._bucket_bytes

    def model(self, key: str, session: str) -> str:
        wanted = digest(key, session)
        for at in self._bucket(wanted):
            record = bytes(self._memory[at : at + SESSION_BYTES])
            found, _, checksum, length = _HEAD.unpack_from(record)
            if found == wanted:
                name = record[_HEAD.size : _HEAD.size + length]
                if checksum != crc32(found + name):
                    return ""
                _USED.pack_into(self._memory, at + _USED_AT, time.monotonic())
                return name.decode()
        return ""

    def answered(self, key: str, session: str, model: str) -> None:
        wanted, name = digest(key, session), model.encode()
        if len(name) > _NAME_BYTES:
            return
        places = [(_HEAD.unpack_from(self._memory, at), at) for at in self._bucket(wanted)]
        at = next((at for head, at in places if head[0] == wanted), None)
        if at is None:
            at = min(places, key=lambda place: place[0][1])[1]
        record = _HEAD.pack(wanted, time.monotonic(), crc32(wanted + name), len(name)) + name
        self._memory[at : at + len(record)] = record

    def _bucket(self, wanted: bytes) -> range:
        start = int.from_bytes(wanted[:8], "little") % self._buckets * self._bucket_bytes
        return range(start, start + self._bucket_bytes, SESSION_BYTES)
