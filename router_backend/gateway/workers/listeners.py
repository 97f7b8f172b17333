"""The sockets of one port. The kernel spreads connections over them (SO_REUSEPORT); each belongs to a worker.

The parent keeps them open: connections that have come to a worker that dies wait for its successor.
"""

from __future__ import annotations

import contextlib
import socket


class CanNotListen(ValueError):
    """The address is taken, or not this machine's."""


def listeners(host: str, port: int, workers: int) -> list[list[socket.socket]]:
    """For each worker one socket for each address of `host`, bound and not listening yet.

    Raises:
        CanNotListen: says why.
    """
    bound: list[list[socket.socket]] = [[] for _ in range(workers)]
    with contextlib.ExitStack() as failing:
        try:
            for family, _, _, _, address in dict.fromkeys(
                socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            ):
                with _socket(family) as alone:  # whoever serves this port already makes it fail, a gateway included
                    alone.bind(address)
                    port = alone.getsockname()[1]
                for sockets in bound:
                    sockets.append(failing.enter_context(_socket(family)))
                    sockets[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                    sockets[-1].bind((address[0], port, *address[2:]))
        except OSError as error:
            raise CanNotListen(f"{host}:{port} can't be used: {error.strerror}") from None
        failing.pop_all()
    return bound


def _socket(family: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return made
