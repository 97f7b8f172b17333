"""Which wire an address means."""

from __future__ import annotations

from router_backend.gateway.kserve.inference import Wire
from router_backend.gateway.kserve.over_grpc import GrpcWire
from router_backend.gateway.kserve.over_http import HttpWire

_CONNECTIONS = 128  # at once, of those that Triton's HTTP gets: each carries one call


def open_wire(url: str) -> Wire:
    """`unix:<path>` and `http://<host>:<port>`: Triton's HTTP; `<host>:<port>`, with or without `grpc://`: its gRPC.

    Raises:
        ValueError: it is none of these.
    """
    if url.startswith("unix:"):
        return HttpWire(url, _CONNECTIONS)
    scheme, separator, rest = url.rpartition("://")
    address = rest.rstrip("/")
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or (separator and scheme not in ("grpc", "http")):
        raise ValueError(
            f"Triton's address is {url!r}; write host:port of its gRPC, http://host:port of its HTTP, or unix:PATH"
        )
    return HttpWire(address, _CONNECTIONS) if scheme == "http" else GrpcWire(address)
