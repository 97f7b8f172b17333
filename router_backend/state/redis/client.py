"""The connection of the Redis store: its URL, what a server must promise, and errors that say what to do."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qs, urlencode, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from router_backend.state.store import StoreError, StoreMisconfigured

PASSWORD_VARIABLE = "LLM_ROUTER_STATE_PASSWORD"
DEFAULT_PREFIX = "{llm-router}"  # in braces: Redis Cluster keeps keys of one tag in one slot, as scripts need
SCHEMA = 1
_WAITAOF_SINCE = (7, 2)
_SCAN = 1000
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Address:
    """A `redis://`, `rediss://` or `unix://` URL, taken apart."""

    url: str  # for redis-py
    prefix: str  # of every key
    shown: str  # without credentials


def parse_address(url: str) -> Address:
    """`?prefix=` is ours, the other query parameters are redis-py's (`db`, `ssl_ca_certs`, `ssl_certfile`, …)."""
    bare, _, tail = url.partition("?")
    query = parse_qs(tail)
    prefix = query.pop("prefix", [DEFAULT_PREFIX])[0]
    parts = urlsplit(bare)
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return Address(url=f"{bare}?{urlencode(query, doseq=True)}" if query else bare, prefix=prefix, shown=shown)


class RedisClient:
    """One server: its keys, scripts that are durable when they return, and errors as StoreError."""

    def __init__(self, url: str, timeout: float) -> None:
        """`timeout`: seconds for each connect and reply.

        A server that doesn't answer now is tried, and checked, again with each call: a router starts without it.

        Raises:
            StoreMisconfigured: it answers, and must not be used as it is.
        """
        address = parse_address(url)
        self.shown, self._prefix, self._timeout = address.shown, address.prefix, timeout
        self.raw = _connect(address, timeout)
        self._waitaof: bool | None = None  # unknown until checked
        try:
            self._check()
        except StoreMisconfigured:
            raise
        except StoreError as error:
            _log.warning("starting without the state store: %s", error)

    def key(self, *parts: str) -> str:
        return ":".join((self._prefix, *parts))

    @contextmanager
    def errors(self) -> Iterator[None]:
        """redis-py's errors as StoreError, with what to do."""
        try:
            yield
        except redis.exceptions.RedisError as error:
            self._waitaof = None  # what answers next may be another server
            raise StoreError(f"{self.shown}: {_advice(error)} ({error})") from error

    def run(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Run a script that writes; durable when this returns."""
        if not self._check():
            with self.errors():
                return self.raw.eval(script, len(keys), *keys, *arguments)
        wait = int(self._timeout * 800)  # milliseconds, so that the answer comes before the socket's time limit
        result, synced = self.pipelined([("EVAL", script, len(keys), *keys, *arguments), ("WAITAOF", 1, 0, wait)])
        if synced[0] < 1:
            raise StoreError(f"{self.shown}: Redis didn't sync its append-only file in time; send it again")
        return result

    def pipelined(self, commands: Iterable[Sequence[Any]]) -> list[Any]:
        """Replies to commands that are sent together, on one connection."""
        with self.errors():
            pipeline = self.raw.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
            return pipeline.execute()

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

    def _check(self) -> bool:
        """Whether writes must wait for WAITAOF. The server is examined once, and again after it didn't answer."""
        if self._waitaof is None:
            with self.errors():
                waitaof = needs_waitaof(self.raw, self.shown)
                self._check_schema()
            self._waitaof = waitaof
        return self._waitaof

    def _check_schema(self) -> None:
        self.raw.setnx(self.key("schema"), SCHEMA)
        schema = int(cast(bytes, self.raw.get(self.key("schema"))))
        if schema > SCHEMA:
            raise StoreMisconfigured(
                f"{self.shown}: written by a newer llm-router (state schema {schema}, this build knows {SCHEMA});"
                " upgrade this one, or use another ?prefix="
            )


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


def needs_waitaof(client: redis.Redis, shown: str) -> bool:
    """Check that what the server acknowledges is on disk; True if each write must ask for it with WAITAOF.

    Raises:
        StoreMisconfigured: the server would lose acknowledged feedback; says what to change.
    """
    info: dict[str, Any] = client.info()
    settings = _settings(client)
    if not int(info.get("aof_enabled", 0)):
        raise StoreMisconfigured(
            f"{shown}: the append-only file is off, so a crash of Redis would lose acknowledged feedback;"
            " set `appendonly yes` and `appendfsync always` in redis.conf (or by CONFIG SET)"
        )
    if settings.get("no-appendfsync-on-rewrite") == "yes":
        raise StoreMisconfigured(
            f"{shown}: `no-appendfsync-on-rewrite yes` stops fsync while the append-only file is rewritten, so a crash"
            " would lose acknowledged feedback; set it to no"
        )
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if int(info.get("maxmemory", 0)) and policy.startswith("allkeys"):
        raise StoreMisconfigured(
            f"{shown}: `maxmemory-policy {policy}` would evict the log of what was learned; set noeviction"
        )
    if settings.get("appendfsync") == "always":
        return False
    version = tuple(int(part) for part in str(info["redis_version"]).split(".")[:2])
    if version >= _WAITAOF_SINCE and settings.get("appendfsync") != "no":
        return True
    raise StoreMisconfigured(
        f"{shown}: `appendfsync {settings.get('appendfsync', '(not readable)')}` syncs after the acknowledgement, so a"
        " crash would lose the last second or two of acknowledged feedback; set `appendfsync always`,"
        " or use Redis 7.2 or Valkey, where everysec is enough (each write then waits for WAITAOF)"
    )


def _settings(client: redis.Redis) -> dict[str, str]:
    """CONFIG is closed on managed servers: then nothing is known, and WAITAOF decides."""
    try:
        values: dict[str, str] = client.config_get("appendfsync", "no-appendfsync-on-rewrite")  # type: ignore[assignment]
    except redis.exceptions.ResponseError:
        return {}
    return values


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
