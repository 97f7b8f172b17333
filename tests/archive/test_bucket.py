"""The archive in a bucket: S3's API, by moto's server on loopback."""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from router_backend.archive.archiver import Archiver
from router_backend.archive.place import ArchiveError, open_place
from router_backend.archive.reading import tables
from router_backend.state.sqlite.store import SQLiteStore
from tests.state.examples import make_decision, make_feedback, make_outcome

# moto's server in a process of its own: Arrow's S3 client and it would wait for each other otherwise.
_SERVER = """
import sys, threading
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
server.start()
print("port", server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """host:port of an S3 with a bucket `bucket`."""
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        port = next(int(line.split()[1]) for line in server.stdout if line.startswith("port "))
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("PUT", "/bucket")
        assert connection.getresponse().status == 200
        yield f"127.0.0.1:{port}"
        server.kill()


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def address(endpoint: str, bucket: str = "bucket") -> str:
    return f"s3://{bucket}/router?region=us-east-1&scheme=http&endpoint_override={endpoint}"


def test_a_bucket_holds_what_a_folder_does(endpoint: str, tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "state.db")
    made = [make_decision(number) for number in range(5)]
    store.append(made, [make_outcome(decision) for decision in made])
    store.add_feedback_many([make_feedback(decision) for decision in made])
    place = open_place(address(endpoint), tmp_path)
    assert Archiver(store, place).drain() == 20
    (day,) = place.days()
    assert place.files("events")[0].startswith(f"bucket/router/v1/events/day={day}/")
    with tables(place) as opened:
        opened.show()
        rows = opened.query("SELECT decision_id, arm, quality, len(context) AS width FROM events ORDER BY sequence")
    assert [row["decision_id"] for row in rows] == [decision.decision_id for decision in made]
    assert rows[0]["width"] == len(made[0].context)
    assert "secret" not in place.shown


def test_a_bucket_that_is_not_there_is_said_and_nothing_is_lost(endpoint: str, tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "state.db")
    store.append([make_decision(0)], [])
    with pytest.raises(ArchiveError, match="s3://nowhere/router: can't be written"):
        Archiver(store, open_place(address(endpoint, "nowhere"), tmp_path)).drain()
    assert Archiver(store, open_place(address(endpoint), tmp_path))
    assert len(store.outbox().take(10).records) == 1
