"""From an address to a transport."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from llm_router_client.dialect import Dialect
from llm_router_client.gateway import GatewayDialect
from llm_router_client.http import AsyncHttpTransport, HttpTransport
from llm_router_client.transport import AsyncTransport, Server, Transport
from llm_router_client.triton import TritonDialect

if TYPE_CHECKING:
    from types import ModuleType

SCHEMES = ("http", "https", "triton+http", "triton+https", "triton+grpc", "triton+grpcs")


def connect(url: str, api_key: str, timeout: float, connect_timeout: float) -> Transport:
    """The sync transport for `url`.

    Raises:
        ValueError: no such scheme.
        ImportError: gRPC without tritonclient.
    """
    scheme, server = _server(url, api_key, timeout, connect_timeout)
    if scheme.startswith("triton+grpc"):
        transport: Transport = _grpc().GrpcTransport(server, secure=scheme.endswith("s"))
        return transport
    return HttpTransport(server, _dialect(scheme))


def connect_async(url: str, api_key: str, timeout: float, connect_timeout: float) -> AsyncTransport:
    """The async transport for `url`; raises as `connect`."""
    scheme, server = _server(url, api_key, timeout, connect_timeout)
    if scheme.startswith("triton+grpc"):
        transport: AsyncTransport = _grpc().AsyncGrpcTransport(server, secure=scheme.endswith("s"))
        return transport
    return AsyncHttpTransport(server, _dialect(scheme))


def _server(url: str, api_key: str, timeout: float, connect_timeout: float) -> tuple[str, Server]:
    scheme, separator, address = url.rstrip("/").partition("://")
    if scheme not in SCHEMES or not separator or not address:
        raise ValueError(f"{url!r} is no address of a router; it begins with one of {', '.join(SCHEMES)}://")
    if scheme in ("http", "https"):
        address = address.removesuffix("/v1")  # OpenAI's SDKs want it, so it is often there
    target = address if "grpc" in scheme else f"{scheme.removeprefix('triton+')}://{address}"
    headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
    return scheme, Server(target, headers, timeout, connect_timeout)


def _dialect(scheme: str) -> Dialect:
    return TritonDialect() if scheme.startswith("triton+") else GatewayDialect()


def _grpc() -> ModuleType:
    try:
        from llm_router_client import grpc
    except ImportError as error:
        raise ImportError(
            f"gRPC needs tritonclient ({error}): {shlex.quote(sys.executable)} -m pip install 'tritonclient[grpc]'",
            name=error.name,
        ) from error
    return grpc
