"""How many workers a gateway has where `gateway.workers` doesn't say it."""

from __future__ import annotations

from router_backend.config.limits import GatewayConfig, RoutingConfig
from router_backend.cores import memory_limit, usable_cores

_MOST = 8
_WORKER_BYTES = 256 * 1024 * 1024


def workers_of(config: GatewayConfig, routing: RoutingConfig) -> int:
    """As configured, else one for each whole core that this process may use, as far as its memory goes.

    One, too, where the external processor takes any free port: several would have to share one. And where decisions are
    made in the gateway: each worker would hold the classifier and all that was learned.
    """
    inside = "in_process" in (routing.host, routing.fallback)
    if config.workers or config.extproc_port == 0 or inside:
        return config.workers or 1
    wanted = min(int(usable_cores()), _MOST)
    limit = memory_limit()
    if limit is not None:
        wanted = min(wanted, limit // _WORKER_BYTES)
    return max(1, wanted)
