"""The access log: one JSON line per request, without prompt, completion, key or query string."""

from __future__ import annotations

import logging
import time

import orjson

from router_backend.core.emf import with_metrics
from router_backend.gateway.http.exchange import Exchange

logger = logging.getLogger("llm_router.access")


def log_access(exchange: Exchange, route: str, namespace: str | None = None) -> None:
    """Write the line of a request that has ended. `route` is our own pattern: a path may hold anything.

    `namespace`: of the metrics that CloudWatch reads out of the line; None: it has no such.
    """
    if not logger.isEnabledFor(logging.INFO):
        return
    line = {
        "time": round(time.time(), 3),
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
    logger.info(orjson.dumps(line).decode())
