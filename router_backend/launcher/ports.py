"""Which ports are free."""

from __future__ import annotations

import socket


class PortTaken(RuntimeError):
    """A port that is asked for is in use."""


def claim(host: str, port: int, flag: str) -> int:
    """`port` if it is free, any free one for 0.

    Raises:
        PortTaken: somebody listens there; says which flag to use.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            variable = "LLM_ROUTER_" + flag.removeprefix("--").replace("-", "_").upper()
            raise PortTaken(
                f"{host}:{port} can't be used ({error.strerror}); stop what listens there, or set {flag} or {variable}"
            ) from error
        return int(probe.getsockname()[1])
