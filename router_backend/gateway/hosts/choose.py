"""Which router a configuration asks for."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry

from router_backend.config.limits import RoutingConfig
from router_backend.gateway.hosts.fallback import FallbackHost
from router_backend.gateway.hosts.in_process import InProcessHost
from router_backend.gateway.hosts.instruments import PrometheusInstruments
from router_backend.gateway.router_host import RouterHost
from router_backend.gateway.triton_client import TritonClient
from router_backend.steps.metrics import NoInstruments

_START_SECONDS = 30.0  # that a gateway without Triton waits before it serves; then the default model answers


def choose_host(
    routing: RoutingConfig, config: Path | None, triton_url: str, records_key: str, registry: CollectorRegistry
) -> RouterHost:
    """`config`: router.yaml; `registry`: of the gateway's metrics, which has those of decisions, too, where no Triton counts them.

    Raises:
        ValueError: `triton_url` is no address.
    """
    if routing.host == "in_process":
        return InProcessHost(config, PrometheusInstruments(registry), _START_SECONDS)
    triton = TritonClient(triton_url, records_key)
    if routing.fallback == "in_process":
        return FallbackHost(triton, InProcessHost(config, NoInstruments()))
    return triton
