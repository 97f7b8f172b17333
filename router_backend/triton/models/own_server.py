"""The server that a model's process belongs to, over HTTP: what no call of the Python backend tells."""

from __future__ import annotations

import http.client
import socket

ADDRESS = "LLM_ROUTER_TRITON_HTTP"
"""The environment variable with the server's HTTP address: `unix:<path>`, or `<host>:<port>`."""

_SECONDS = 10.0


class _Connection(http.client.HTTPConnection):
    """To a TCP address or a Unix socket."""

    def __init__(self, address: str, timeout: float) -> None:
        self._path = address.removeprefix("unix:") if address.startswith("unix:") else ""
        super().__init__("triton" if self._path else address, timeout=timeout)

    def connect(self) -> None:
        if not self._path:
            return super().connect()
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def call(address: str, method: str, path: str, body: bytes | None, timeout: float) -> tuple[int, bytes]:
    """Any answer: its status and body.

    Raises:
        OSError: none in time (TimeoutError), or nobody listens.
    """
    connection = _Connection(address, timeout)
    try:
        connection.request(method, path, body, {"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from error
    finally:
        connection.close()


def serves(address: str, model: str, version: str) -> bool:
    """Whether a version of a model is loaded; False where the server doesn't say it."""
    try:
        return call(address, "GET", f"/v2/models/{model}/versions/{version}/ready", None, _SECONDS)[0] == 200
    except OSError:
        return False
