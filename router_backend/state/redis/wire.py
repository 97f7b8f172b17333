"""Commands to Redis and their replies, without what redis-py does about each: that is most of what a call costs.

Replies stay as they come (no callbacks). Connections are redis-py's, made by its pool's settings, and kept here.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import hiredis
import redis

Command = Sequence[Any]
_TRIES = 2  # a connection that a restarted server left behind is made again; what is sent is idempotent


class Wire:
    """Thread-safe: each exchange has a connection of its own meanwhile."""

    def __init__(self, client: redis.Redis) -> None:
        self._pool = client.connection_pool
        self._free: deque[Any] = deque()
        self._digests: dict[str, str] = {}
        self._lock = threading.Lock()
        self._closed = False

    def exchange(self, commands: Iterable[Command]) -> list[Any]:
        """Send commands together; their replies, in order. Raises the first error among them, after all were read."""
        replies = self._replies(list(commands))
        for reply in replies:
            if isinstance(reply, redis.exceptions.ResponseError):
                raise reply
        return replies

    def evaluate(self, script: str, keys: Sequence[Any], arguments: Sequence[Any], *others: Command) -> list[Any]:
        """Run a script, and other commands behind it; all replies.

        The server is sent a script once, and its digest from then on. If it has forgotten it (it was restarted), it has run nothing.
        """
        words, digest = (len(keys), *keys, *arguments), self._digests.get(script)
        if digest is not None:
            replies = self._replies([("EVALSHA", digest, *words), *others])
        if digest is None or isinstance(replies[0], redis.exceptions.NoScriptError):
            replies = self._replies([("EVAL", script, *words), *others])
            self._digests[script] = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        for reply in replies:
            if isinstance(reply, redis.exceptions.ResponseError):
                raise reply
        return replies

    def close(self) -> None:
        with self._lock:
            self._closed = True
            free, self._free = self._free, deque()
        for connection in free:
            connection.disconnect()

    def _replies(self, commands: Sequence[Command]) -> list[Any]:
        if not commands:
            return []
        connection = self._taken()
        try:
            for tries in range(_TRIES):
                try:
                    replies = _exchanged(connection, commands)
                    break
                except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
                    connection.disconnect()
                    if tries + 1 == _TRIES:
                        raise
        except BaseException:
            connection.disconnect()  # replies may still come
            raise
        self._give_back(connection)
        return replies

    def _taken(self) -> Any:
        with suppress(IndexError):
            return self._free.pop()
        return self._pool.make_connection()

    def _give_back(self, connection: Any) -> None:
        with self._lock:
            if not self._closed:
                self._free.append(connection)
                return
        connection.disconnect()


def _exchanged(connection: Any, commands: Sequence[Command]) -> list[Any]:
    connection.send_packed_command([b"".join(map(hiredis.pack_command, map(tuple, commands)))])
    replies: list[Any] = []
    for _ in commands:
        try:
            replies.append(connection.read_response())
        except redis.exceptions.ResponseError as error:
            replies.append(error)
    return replies
