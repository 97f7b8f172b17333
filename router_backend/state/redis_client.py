"""The connection of the Redis store: its URL, what a server must promise, and errors that say what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from router_backend.state.store import StoreError, StoreMisconfigured

PASSWORD_VARIABLE = "LLM_ROUTER_STATE_PASSWORD"
DEFAULT_PREFIX = "{llm-router}"  # in braces: Redis Cluster keeps keys of one tag in one slot, as scripts need
_WAITAOF_SINCE = (7, 2)


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


def connect(address: Address, timeout: float) -> redis.Redis:
    """A client; nothing is sent yet. `timeout` bounds each connect and each reply, in seconds."""
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


@contextmanager
def store_errors(shown: str) -> Iterator[None]:
    """redis-py's errors as StoreError, with what to do."""
    try:
        yield
    except redis.exceptions.RedisError as error:
        raise StoreError(f"{shown}: {_advice(error)} ({error})") from error


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
