"""The access log: one JSON line per request, without prompt, completion, key or query string."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from typing import Any

import orjson

from router_backend.core.emf import with_metrics
from router_backend.gateway.http.exchange import Exchange

logger = logging.getLogger("llm_router.access")


_file: int | None = None  # None: lines go to the logger
_as_text = False


def write_to(descriptor: int, as_text: bool = False) -> None:
    """From now on lines go straight to an open file, one call of the system each: a record of `logging` takes half of the time
    that a line does. `as_text`: for people, in place of JSON."""
    global _file, _as_text
    _file, _as_text = descriptor, as_text


def log_access(exchange: Exchange, route: str, namespace: str | None = None) -> None:
    """Write the line of a request that has ended. `route` is our own pattern: a path may hold anything.

    `namespace`: of the metrics that CloudWatch reads out of the line; None: it has no such.
    """
    if not logger.isEnabledFor(logging.INFO):
        return
    line = {
        "time": round(time.time(), 3),
        "level": "info",
        "request_id": exchange.request_id,
        "method": exchange.method,
        "route": route,
        "status": exchange.status,
        "ms": round((time.monotonic() - exchange.started) * 1000, 2),
        "key": exchange.key or None,
        **exchange.log,
    }
    if namespace:
        line = with_metrics(line, namespace)
    data = _text(line) if _as_text else orjson.dumps(line)
    if _file is None:
        logger.info(data.decode())
        return
    left = memoryview(data + b"\n")
    with contextlib.suppress(OSError):  # nobody reads the log; requests go on
        while left:
            left = left[os.write(_file, left) :]


def _text(line: dict[str, Any]) -> bytes:
    """What happened first, then what is known beside it."""
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(line["time"]))
    first = f"{at} INFO {line['method']} {line['route']} {line['status']} in {line['ms']} ms"
    more = (
        f"{name}={value}"
        for name, value in list(line.items())[6:]
        if value not in (None, "", [], False) and name != "_aws"
    )
    return " ".join([first, *more]).encode()
