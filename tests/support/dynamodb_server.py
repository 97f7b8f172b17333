"""DynamoDB for tests: moto's, in a process of its own on the loopback interface.

It serves one request at a time, as moto's own transactions take no lock; DynamoDB's exclude each other.
"""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.running import PROJECT, free_port

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


class DynamoDBServer:
    """It keeps its tables in memory: what a kill of the service itself loses is not this one's to show."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, table: str) -> str:
        return f"dynamodb://{table}?region=eu-central-1&endpoint=http://127.0.0.1:{self.port}"

    def start(self, log: Path) -> DynamoDBServer:
        with log.open("ab") as file:
            command = [sys.executable, "-m", "tests.support.dynamodb_server", str(self.port)]
            self._process = subprocess.Popen(
                command, cwd=PROJECT, env={**os.environ, **CREDENTIALS}, stdout=file, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=5).close()
                return self
            except urllib.error.HTTPError:
                return self
            except OSError as error:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError(f"moto's server did not start (log: {log})") from error
                time.sleep(0.05)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def _copy_only_what_a_transaction_touches() -> None:
    """moto copies the whole table for each action of a transaction, to undo it; the items that the actions name are enough."""
    import moto.dynamodb.models as models

    transact, real_copy = models.DynamoDBBackend.transact_write_items, copy

    class Copies:
        @staticmethod
        def deepcopy(value: Any) -> Any:
            return value if isinstance(value, models.Table) else real_copy.deepcopy(value)

    def undoing(backend: Any, actions: list[dict[str, Any]]) -> None:
        before = []
        for action in actions:
            (operation,) = action.values()
            table, key = backend.get_table(operation["TableName"]), operation.get("Key") or operation["Item"]
            hashed, ranged = (models.DynamoType(key[name]) for name in (table.hash_key_attr, table.range_key_attr))
            before.append((table, hashed, ranged, real_copy.deepcopy(table.get_item(hashed, ranged))))
        try:
            transact(backend, actions)
        except BaseException:
            for table, hashed, ranged, item in before:
                if item is None:
                    table.items[hashed].pop(ranged, None)
                else:
                    table.items[hashed][ranged] = item
            raise

    models.copy = Copies
    models.DynamoDBBackend.transact_write_items = undoing


def serve(port: int) -> None:
    from moto.moto_server.werkzeug_app import create_backend_app
    from werkzeug.serving import run_simple

    _copy_only_what_a_transaction_touches()
    run_simple("127.0.0.1", port, create_backend_app("dynamodb"), threaded=False)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
