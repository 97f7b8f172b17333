"""Enough of Hugging Face's hub for its own command line: files of one repository, on loopback."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_COMMIT = "a" * 40


@dataclass
class Hub:
    """`tokens` that came with requests for files; `strangers`: hosts that were asked for through this server as a proxy."""

    url: str = ""
    tokens: set[str | None] = field(default_factory=set)
    strangers: list[str] = field(default_factory=list)


@contextmanager
def hub(repository: str, files: Mapping[str, bytes]) -> Iterator[Hub]:
    state = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            name = path.rpartition("/")[2]
            if path == f"/api/models/{repository}/revision/main":
                siblings = [{"rfilename": file} for file in files]
                self._send(json.dumps({"id": repository, "sha": _COMMIT, "siblings": siblings}).encode())
            elif path == f"/api/models/{repository}/tree/{_COMMIT}":
                listed = [
                    {"type": "file", "path": file, "size": len(data), "oid": _id(data)} for file, data in files.items()
                ]
                self._send(json.dumps(listed).encode())
            elif path.startswith(f"/{repository}/resolve/") and name in files:
                state.tokens.add(self.headers.get("authorization"))
                self._send(files[name], **{"etag": f'"{_id(files[name])}"', "x-repo-commit": _COMMIT})
            else:
                self._send(b'{"error": "not found"}', status=404)

        do_HEAD = do_GET

        def do_CONNECT(self) -> None:
            state.strangers.append(self.path)
            self._send(b"", status=403)

        def _send(self, body: bytes, status: int = 200, **headers: str) -> None:
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


def _id(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()
