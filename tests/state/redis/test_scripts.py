"""What the scripts may touch: the keys that they are given, under the deployment's prefix."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from router_backend.core.records import Bound, StoredResponse
from router_backend.state.open import open_store
from router_backend.state.store import Store, StoreError
from router_backend.state.transfer import export_state, import_state
from tests.state.examples import make_decision, make_feedback, make_outcome
from tests.state.redis.conftest import Start
from tests.support.redis_server import RedisServer

END = "END-OF-TEST"


def use_everything(store: Store, folder: Path) -> None:
    """Each script once: records, feedback that teaches and that waits, its settling, an export and its import."""
    decisions = [make_decision(number) for number in range(3)]
    store.append(decisions, [make_outcome(decision, key="app") for decision in decisions[:2]])
    store.add_feedback(make_feedback(decisions[0]))
    store.add_feedback(make_feedback(decisions[1], implicit="truncated"))
    store.add_feedback(make_feedback(decisions[2]))
    export_state(store.archive(), folder / "export")
    assert store.settle(1e12, 1e12) == 2
    store.archive().clear()
    assert store.archive().empty()
    import_state(store.archive(), folder / "export")
    assert store.event_count() == 1
    store.keep_response(StoredResponse(response_id="r", key="app", created=time.time(), body=b"{}"), Bound(1, 1))
    assert store.forget_response("r")
    store.prune(1e12)


@contextmanager
def monitored(server: RedisServer) -> Iterator[list[tuple[bool, list[str]]]]:
    """The commands that the server runs meanwhile: whether a script ran it, and its words."""
    commands: list[tuple[bool, list[str]]] = []
    client = redis.Redis(port=server.port)
    with client.monitor() as monitor:

        def listen() -> None:
            while END not in (line := monitor.connection.read_response().decode("latin-1")):
                commands.append((" lua] " in line.partition('"')[0], re.findall(r'"((?:[^"\\]|\\.)*)"', line)))

        listener = threading.Thread(target=listen)
        listener.start()
        yield commands
        client.echo(END)
        listener.join(20)
    client.close()


def test_a_script_touches_only_the_keys_that_it_was_given(start: Start, tmp_path: Path) -> None:
    server = start()
    store = open_store(f"{server.url}?prefix={{p}}", tmp_path)
    with monitored(server) as commands:
        use_everything(store, tmp_path)
    given: list[str] = []
    touched = set()
    for by_script, (name, *words) in commands:
        if name in ("EVAL", "EVALSHA"):
            given = words[2 : 2 + int(words[1])]
        elif by_script and name != "INFO":
            touched.add(name)
            assert words[0] in given, (name, words[0])
    assert {"SET", "XADD", "INCR", "HSET", "ZADD", "HINCRBY", "HINCRBYFLOAT", "EXPIRE", "EXPIREAT"} <= touched
    store.close()


def test_a_user_who_may_touch_only_the_prefix_is_enough(start: Start, tmp_path: Path) -> None:
    server = start()
    admin = redis.Redis(port=server.port)
    admin.execute_command(
        *("ACL", "SETUSER", "router", "on", ">secret", "resetkeys", "~{mine}:*", "resetchannels"),
        *("+@all", "-@admin", "-@dangerous", "+info", "+config|get"),
    )
    address = f"redis://router:secret@127.0.0.1:{server.port}/0"
    store = open_store(f"{address}?prefix={{mine}}", tmp_path)
    use_everything(store, tmp_path)
    store.close()
    other = open_store(f"{address}?prefix={{theirs}}", tmp_path)
    with pytest.raises(StoreError, match="access denied"):
        other.append([make_decision()], [])
    other.close()
    assert admin.keys("{theirs}*") == []
