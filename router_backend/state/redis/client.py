"""The connection of the Redis store: its URL, what a server must promise, and errors that say what to do."""

from __future__ import annotations

import logging
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qs, urlencode, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from router_backend.state.redis import scripts
from router_backend.state.redis.durability import check_eviction, needs_waitaof
from router_backend.state.redis.wire import Command, Wire
from router_backend.state.store import (
    MISSING_ADVICE,
    REPLACED_ADVICE,
    StoreError,
    StoreMisconfigured,
    StoreMissing,
    StoreReplaced,
)

PASSWORD_VARIABLE = "LLM_ROUTER_STATE_PASSWORD"
DEFAULT_PREFIX = "{llm-router}"  # in braces: Redis Cluster keeps keys of one tag in one slot, as scripts need
_BY_FILE, _BY_SERVER = "file", "server"
SCHEMA = 1
_SCAN = 1000
_CHECK_SECONDS = 1.0
_SYNC_SECONDS = 3.0  # `appendfsync everysec` syncs after one second, and after two more if the disk is slow
_IDENTITY = "identity"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Address:
    """A `redis://`, `rediss://` or `unix://` URL, taken apart."""

    url: str  # for redis-py
    prefix: str  # of every key
    shown: str  # without credentials
    keeps: bool  # the server promises to keep what it acknowledges, by other means than a file that it tells of


def parse_address(url: str) -> Address:
    """`?prefix=` and `?durability=` are ours, the other query parameters are redis-py's (`db`, `ssl_ca_certs`, …).

    Raises:
        StoreMisconfigured: another durability than `file` and `server`.
    """
    bare, _, tail = url.partition("?")
    query = parse_qs(tail)
    prefix = query.pop("prefix", [DEFAULT_PREFIX])[0]
    durability = query.pop("durability", [_BY_FILE])[0]
    parts = urlsplit(bare)
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    if durability not in (_BY_FILE, _BY_SERVER):
        raise StoreMisconfigured(
            f"state: {shown}: ?durability={durability} is unknown; leave it out, or set it to {_BY_SERVER} for a service that"
            " keeps what it acknowledges without an append-only file, such as Amazon MemoryDB"
        )
    url = f"{bare}?{urlencode(query, doseq=True)}" if query else bare
    return Address(url=url, prefix=prefix, shown=shown, keeps=durability == _BY_SERVER)


class RedisClient:
    """One server: its keys, scripts that are durable when they return, and errors as StoreError."""

    def __init__(self, url: str, timeout: float, create: bool) -> None:
        """`timeout`: seconds for each connect and reply; `create`: whether a store may be made where there is none.

        A server that doesn't answer now is tried, and checked, again with each call: a router starts without it.

        Raises:
            StoreMisconfigured: it answers, and must not be used as it is.
            StoreMissing: it answers, and there is no store, nor may one be made.
        """
        address = parse_address(url)
        self.shown, self._prefix, self._keeps = address.shown, address.prefix, address.keeps
        self._guard = scripts.guard(file=not address.keeps)
        self._guarded: dict[str, str] = {}  # by script: the same behind the guard
        self._identity_key = self.key(_IDENTITY)
        self._create = create
        self.raw = _connect(address, timeout)
        self._syncing = _connect(address, timeout + _SYNC_SECONDS)  # for replies that wait for the disk
        self._wire, self._patient = Wire(self.raw), Wire(self._syncing)
        self._identity = ""  # of the store that this process works with; adopted from the first that answers
        self._waitaof = False
        self._check_at = 0.0  # monotonic
        try:
            self._check()
        except (StoreMisconfigured, StoreMissing):
            raise
        except StoreError as error:
            _log.warning("starting without the state store: %s", error)

    def key(self, *parts: str) -> str:
        return ":".join((self._prefix, *parts))

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Around commands: the server is what it must be, and redis-py's errors are StoreErrors that say what to do."""
        self._check()
        with self._translated():
            yield

    def run(self, script: str, keys: Sequence[str], arguments: Sequence[Any], durable: bool = True) -> Any:
        """Run a script that writes; unless `durable` is off, what it wrote is on disk when this returns.

        The script itself makes sure that it writes to the store it is meant for, and that this keeps what it is given:
        what changes between two checks can't be acknowledged wrongly either.
        """
        self._check()
        guarded = self._guarded.get(script) or self._guarded.setdefault(script, self._guard + script)
        words = guarded, [*keys, self._identity_key], [*arguments, self._identity]
        try:
            with self._translated():
                if self._keeps or not durable:
                    (result,), synced = self._wire.evaluate(*words), True
                elif self._waitaof:
                    wait = ("WAITAOF", 1, 0, int(1000 * _SYNC_SECONDS))
                    result, (synced, _) = self._patient.evaluate(*words, wait)
                else:  # the same question again, now that it is written
                    result, setting = self._wire.evaluate(*words, ("CONFIG", "GET", "appendfsync"))
                    synced = _value(setting, b"appendfsync") == b"always"
        except StoreError as error:
            if any(code in str(error) for code in scripts.GUARD_ERRORS):
                self._check()  # says more
            raise
        if not synced:
            self._check_at = 0.0
            raise StoreError(f"{self.shown}: Redis didn't sync its append-only file in time; send it again")
        return result

    def pipelined(self, commands: Iterable[Sequence[Any]]) -> list[Any]:
        """Replies to commands that are sent together, on one connection."""
        with self.errors():
            return _pipelined(self.raw, commands)

    def exchange(self, commands: Iterable[Command]) -> list[Any]:
        """As `pipelined`; replies stay as the server sends them."""
        with self.errors():
            return self._wire.exchange(commands)

    def close(self) -> None:
        self._wire.close()
        self._patient.close()
        self.raw.close()
        self._syncing.close()

    def scan(self, kind: str) -> Iterator[list[bytes]]:
        """Pages of the keys of a kind."""
        pattern = re.sub(r"([][*?\\])", r"\\\1", self.key(kind)) + ":*"
        cursor = 0
        while True:
            with self.errors():
                cursor, keys = cast("tuple[int, list[bytes]]", self.raw.scan(cursor, match=pattern, count=_SCAN))
            if keys:
                yield keys
            if cursor == 0:
                return

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except redis.exceptions.RedisError as error:
            self._check_at = 0.0  # what answers next may be another server
            raise StoreError(f"{self.shown}: {_advice(error)} ({error})") from error

    def _check(self) -> None:
        """Examine the server: at first, after each error, and from time to time.

        Raises:
            StoreMisconfigured: it would lose what it acknowledges.
            StoreReplaced: it holds another store than before, or none.
        """
        now = time.monotonic()
        if now < self._check_at:
            return
        with self._translated():
            if self._keeps:
                check_eviction(self.raw.info(), self.shown)
            waitaof = not self._keeps and needs_waitaof(self.raw, self.shown)
            self._check_identity()
            self._check_schema()
        self._waitaof, self._check_at = waitaof, now + _CHECK_SECONDS

    def _check_schema(self) -> None:
        if self._create:
            self.raw.setnx(self.key("schema"), SCHEMA)
        elif not self.raw.exists(self.key("schema")):
            raise StoreMissing(f"{self.shown}: {MISSING_ADVICE}")
        schema = int(cast(bytes, self.raw.get(self.key("schema"))))
        if schema > SCHEMA:
            raise StoreMisconfigured(
                f"{self.shown}: written by a newer llm-router (state schema {schema}, this build knows {SCHEMA});"
                " upgrade this one, or use another ?prefix="
            )

    def _check_identity(self) -> None:
        if not self._identity and self._create:
            self.raw.setnx(self.key(_IDENTITY), secrets.token_hex(16))
        identity = cast("bytes | None", self.raw.get(self.key(_IDENTITY)))
        if not self._identity:  # of a store of an earlier version, or none, only one who may create makes it
            self._identity = identity.decode() if identity else ""
        if (identity or b"").decode() != self._identity:
            what = "holds another store" if identity else "has lost its store (emptied, or started without its file)"
            raise StoreReplaced(f"{self.shown}: the server {what}; {REPLACED_ADVICE}")


def _value(setting: Any, name: bytes) -> Any:
    """Of what CONFIG GET replies, a map or, in the protocol's second version, names and values in turns."""
    found = setting if isinstance(setting, dict) else dict(zip(setting[::2], setting[1::2], strict=True))
    return found.get(name)


def _pipelined(client: redis.Redis, commands: Iterable[Sequence[Any]]) -> list[Any]:
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
    return pipeline.execute()


def _connect(address: Address, timeout: float) -> redis.Redis:
    options: dict[str, Any] = {}
    if PASSWORD_VARIABLE in os.environ and urlsplit(address.url).password is None:
        options["password"] = os.environ[PASSWORD_VARIABLE]
    try:
        client = redis.Redis.from_url(
            address.url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 1),  # a connection that a restarted server left behind; writes are idempotent
            health_check_interval=30,
            **options,
        )
        client.connection_pool.make_connection()  # unconnected: only to see that it takes the URL's parameters
    except (ValueError, TypeError) as error:
        raise StoreMisconfigured(f"state: {address.shown}: {error}") from error
    return client


def _advice(error: redis.exceptions.RedisError) -> str:
    match error:
        case redis.exceptions.AuthenticationError() | redis.exceptions.NoPermissionError():
            return f"access denied; put user and password into the URL, or the password into ${PASSWORD_VARIABLE}"
        case redis.exceptions.BusyLoadingError():
            return "still loading its file; it answers when that is done"
        case redis.exceptions.TimeoutError() | redis.exceptions.ConnectionError():
            return "no answer; check that Redis runs and that the network lets this machine reach it"
        case redis.exceptions.ReadOnlyError():
            return "a read-only replica; name the primary in `state:`"
        case redis.exceptions.OutOfMemoryError():
            return "out of memory; raise `maxmemory`, or lower `retention_days`"
    if str(error).startswith("MISCONF"):
        return "it can't write its files; free its disk"
    return "refused"
