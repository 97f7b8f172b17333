"""Sessions of all workers: a client's next request may come to another one than its last."""

from __future__ import annotations

import struct
import time
from zlib import crc32

from router_backend.gateway.memory import Sessions, Turn
from router_backend.gateway.workers.shared import SESSION_BYTES, SESSION_WAYS, Shared

_HEAD = struct.Struct("=16sdIH")  # digest, time of the last use, checksum of digest and body, length of the body
_USED = struct.Struct("=d")
_USED_AT = 16
_DIGEST_BYTES = 16
_BODY = struct.Struct("=16s16sId?")  # a `Turn`; the model's name follows
_BODY_BYTES = SESSION_BYTES - _HEAD.size
_MOST_TOKENS = 2**32 - 1


class SharedSessions(Sessions):
    """A turn stands in one bucket, by its digest, and takes the place of the one there that was used longest ago.

    Nothing is locked: a checksum says whether a record was read while another worker wrote it. Then nothing is remembered.
    A model with a name of more than 180 bytes isn't either.
    """

    def __init__(self, shared: Shared) -> None:
        super().__init__(1)
        self._memory = shared.sessions
        self._bucket_bytes = SESSION_BYTES * SESSION_WAYS
        self._buckets = len(self._memory) // self._bucket_bytes

    def find(self, name: bytes) -> Turn | None:
        for at in self._bucket(name):
            if self._memory[at : at + _DIGEST_BYTES] != name:
                continue
            record = bytes(self._memory[at : at + SESSION_BYTES])
            _, _, checksum, length = _HEAD.unpack_from(record)
            body = record[_HEAD.size : _HEAD.size + length]
            if checksum != crc32(name + body):
                return None
            _USED.pack_into(self._memory, at + _USED_AT, time.monotonic())
            session, parent, tokens, ended, continued = _BODY.unpack_from(body)
            return Turn(body[_BODY.size :].decode(), session, parent, tokens, ended, continued)
        return None

    def put(self, name: bytes, turn: Turn) -> None:
        fields = turn.session, turn.parent, min(turn.tokens, _MOST_TOKENS), turn.at, turn.continued
        body = _BODY.pack(*fields) + turn.model.encode()
        if len(body) > _BODY_BYTES:
            return
        places = [(_HEAD.unpack_from(self._memory, at), at) for at in self._bucket(name)]
        at = next((at for head, at in places if head[0] == name), None)
        if at is None:
            at = min(places, key=lambda place: place[0][1])[1]
        record = _HEAD.pack(name, time.monotonic(), crc32(name + body), len(body)) + body
        self._memory[at : at + len(record)] = record

    def _bucket(self, name: bytes) -> range:
        start = int.from_bytes(name[:8], "little") % self._buckets * self._bucket_bytes
        return range(start, start + self._bucket_bytes, SESSION_BYTES)
