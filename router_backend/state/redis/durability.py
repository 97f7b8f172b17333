"""What a Redis server must promise: that what it acknowledges is on disk, and that it never evicts."""

from __future__ import annotations

from typing import Any

import redis

from router_backend.state.store import StoreMisconfigured

_WAITAOF_SINCE = (7, 2)


def needs_waitaof(client: redis.Redis, shown: str) -> bool:
    """Check that the server keeps what it acknowledges; True if each write must ask for it with WAITAOF.

    Raises:
        StoreMisconfigured: the server would lose acknowledged feedback; says what to change.
    """
    info: dict[str, Any] = client.info()
    settings = _settings(client)
    if not int(info.get("aof_enabled", 0)):
        raise StoreMisconfigured(
            f"{shown}: the append-only file is off, so a crash of Redis would lose acknowledged feedback;"
            " set `appendonly yes` and `appendfsync always` in redis.conf (or by CONFIG SET), or add `?durability=server` to the"
            " URL if this is a service that keeps what it acknowledges by other means (Amazon MemoryDB; ElastiCache doesn't)"
        )
    if settings.get("no-appendfsync-on-rewrite") == "yes":
        raise StoreMisconfigured(
            f"{shown}: `no-appendfsync-on-rewrite yes` stops fsync while the append-only file is rewritten, so a crash"
            " would lose acknowledged feedback; set it to no"
        )
    check_eviction(info, shown)
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


def check_eviction(info: dict[str, Any], shown: str) -> None:
    """Raises StoreMisconfigured for a server that may evict. `info`: its INFO."""
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        raise StoreMisconfigured(
            f"{shown}: `maxmemory-policy {policy}` may evict acknowledged feedback, spending and what was learned;"
            " set noeviction"
        )


def _settings(client: redis.Redis) -> dict[str, str]:
    """CONFIG is closed on managed servers: then nothing is known, and WAITAOF decides."""
    try:
        return {**client.config_get("appendfsync"), **client.config_get("no-appendfsync-on-rewrite")}  # type: ignore[dict-item]
    except redis.exceptions.ResponseError:
        return {}
