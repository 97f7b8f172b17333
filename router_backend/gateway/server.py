"""Runs the gateway on uvicorn (uvloop, httptools)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator

import orjson
import uvicorn
import uvloop

from router_backend.config.runtime import LOG
from router_backend.gateway.app import App, create_app
from router_backend.gateway.heap import collect_rarely, give_back_large_blocks
from router_backend.gateway.http.access_log import write_to
from router_backend.gateway.http.connection import HeadLimits, limited_protocol
from router_backend.gateway.http.connections import Connections, connection_limit
from router_backend.gateway.service import GatewaySettings

_SWITCH_SECONDS = 0.001
"""That another thread, at work on a large body, may keep the loop waiting each time; Python's own are five times as long."""


class _Server(uvicorn.Server):
    """A stop that was asked for is a success: uvicorn itself would end with the signal that it was sent."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop, numbers = asyncio.get_running_loop(), (signal.SIGTERM, signal.SIGINT)
        for number in numbers:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield
        for number in numbers:
            loop.remove_signal_handler(number)


def build_server(app: App, host: str, port: int) -> uvicorn.Server:
    """uvicorn around an application, with the limits of its configuration."""
    limits, tls = app.service.settings.config.gateway, app.service.settings.config.security.tls
    place = app.service.settings.place
    heads = HeadLimits(limits.max_header_bytes, limits.header_seconds, limits.write_seconds)
    connections = Connections(connection_limit(place.share(limits.max_connections)))
    return _Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http=limited_protocol(heads, connections),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=True,
            timeout_keep_alive=int(limits.keep_alive_seconds),
            timeout_graceful_shutdown=int(limits.drain_seconds),
            ssl_certfile=tls.certificate if tls else None,
            ssl_keyfile=tls.key if tls else None,
            backlog=2048,
        )
    )


def run(settings: GatewaySettings, port: int) -> None:
    """Serve until SIGTERM or SIGINT; running answers may then go on for `gateway.drain_seconds`. SIGHUP reloads.

    Raises:
        ValueError: it would be less safe than was asked for, or can't be built.
    """
    app = create_app(settings)
    server = build_server(app, settings.exposure.host, port)

    bound = [socket.socket(fileno=number) for number in settings.place.listeners]

    async def serve() -> None:
        def reload() -> None:
            reloading.append(asyncio.ensure_future(app.service.runtimes.reload_or_log()))

        reloading: list[asyncio.Future[None]] = []
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
        collect_rarely()
        give_back_large_blocks()
        sys.setswitchinterval(_SWITCH_SECONDS)
        await server.serve(sockets=bound or None)

    uvloop.run(serve())


def log_to_stderr() -> None:
    """All lines are JSON, or all are text for people (`LLM_ROUTER_LOG`)."""
    # What no format of ours shows is not looked up: half of a line's time (logging's own advice, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    as_text = os.environ.get(LOG) == "text"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s") if as_text else _JSONLines()
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    write_to(sys.stderr.fileno(), as_text)


class _JSONLines(logging.Formatter):
    """One line each, as those of the access log: time, level, logger, message, and the traceback of an exception."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()
