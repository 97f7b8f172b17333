"""A configuration of Envoy in front of the static upstream: as a plain proxy, or with the router as its external processor."""

from __future__ import annotations

from typing import Any

_TYPE = "type.googleapis.com/envoy"


def config(port: int, upstream: int, processor: int | None = None) -> dict[str, Any]:
    """All on loopback. `processor`: the gateway's `extproc_port`; bodies as docs/mesh.md has them."""
    filters = [_filter("envoy.filters.http.router", "filters.http.router.v3.Router")]
    clusters = [_cluster("upstream", upstream)]
    if processor is not None:
        modes = {
            "request_header_mode": "SEND",
            "response_header_mode": "SEND",
            "request_body_mode": "BUFFERED",
            "response_body_mode": "STREAMED",
        }
        grpc = {"envoy_grpc": {"cluster_name": "llm-router"}, "timeout": "0s"}
        fields = {"grpc_service": grpc, "processing_mode": modes, "message_timeout": "20s"}
        filters.insert(0, _filter("llm-router", "filters.http.ext_proc.v3.ExternalProcessor", **fields))
        clusters.append(_cluster("llm-router", processor, http2=True))
    route = {"match": {"prefix": "/"}, "route": {"cluster": "upstream", "timeout": "0s"}}
    manager = _filter(
        "envoy.filters.network.http_connection_manager",
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="bench",
        route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        http_filters=filters,
    )
    listener = {"address": _address(port), "filter_chains": [{"filters": [manager]}]}
    return {"static_resources": {"listeners": [listener], "clusters": clusters}}


def _filter(name: str, kind: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": f"{_TYPE}.extensions.{kind}", **fields}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _cluster(name: str, port: int, http2: bool = False) -> dict[str, Any]:
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}]
    cluster: dict[str, Any] = {
        "name": name,
        "type": "STATIC",
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
    }
    if http2:
        options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        cluster["typed_extension_protocol_options"] = {
            options: {
                "@type": f"type.googleapis.com/{options}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        }
    return cluster
