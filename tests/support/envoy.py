"""A real Envoy in front of scripted servers, with the router as its external processor."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import httpx
import yaml

ENVOY = Path(sys.executable).with_name("envoy")
_TYPE = "type.googleapis.com/envoy"


def _cluster(name: str, port: int, http2: bool = False) -> dict[str, Any]:
    cluster: dict[str, Any] = {
        "name": name,
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [
                {
                    "lb_endpoints": [
                        {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
                    ]
                }
            ],
        },
    }
    if http2:
        protocol = f"{_TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions"
        cluster["typed_extension_protocol_options"] = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": protocol,
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        }
    return cluster


def envoy_config(processor: int, upstreams: dict[str, int], mode: str, deadline: float) -> dict[str, Any]:
    """Routes by `x-router-model`; the first of `upstreams` takes what has none. `mode`: of both bodies, but a buffered
    request's answer is streamed."""
    default = next(iter(upstreams))
    routes = [
        {
            "match": {"prefix": "/", "headers": [{"name": "x-router-model", "string_match": {"exact": name}}]},
            "route": {"cluster": name, "timeout": "0s"},
        }
        for name in upstreams
    ]
    routes.append({"match": {"prefix": "/"}, "route": {"cluster": default, "timeout": "0s"}})
    modes = {"request_header_mode": "SEND", "response_header_mode": "SEND", "request_body_mode": mode}
    modes["response_body_mode"] = "STREAMED" if mode == "BUFFERED" else mode
    if mode == "FULL_DUPLEX_STREAMED":
        modes |= {"request_trailer_mode": "SEND", "response_trailer_mode": "SEND"}
    filters = [
        {
            "name": "llm-router",
            "typed_config": {
                "@type": f"{_TYPE}.extensions.filters.http.ext_proc.v3.ExternalProcessor",
                "grpc_service": {"envoy_grpc": {"cluster_name": "llm-router"}, "timeout": "0s"},
                "failure_mode_allow": mode == "BUFFERED",  # Envoy refuses it where bodies stream both ways
                "message_timeout": f"{deadline}s",
                "processing_mode": modes,
            },
        },
        {"name": "router", "typed_config": {"@type": f"{_TYPE}.extensions.filters.http.router.v3.Router"}},
    ]
    manager = {
        "@type": f"{_TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "test",
        "route_config": {"virtual_hosts": [{"name": "models", "domains": ["*"], "routes": routes}]},
        "http_filters": filters,
    }
    listener = {
        "name": "models",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "per_connection_buffer_limit_bytes": 16 * 1024 * 1024,
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    return {
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "static_resources": {
            "listeners": [listener],
            "clusters": [
                _cluster("llm-router", processor, http2=True),
                *(_cluster(name, port) for name, port in upstreams.items()),
            ],
        },
    }


class Envoy:
    """One process; `start` returns when its listener is open."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        (folder / "envoy.yaml").write_text(yaml.safe_dump(config))
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    async def start(self) -> Envoy:
        address, log = self._folder / "admin.address", self._folder / "envoy.log"
        with log.open("wb") as file:
            self._process = await asyncio.create_subprocess_exec(
                ENVOY,
                *("--config-path", str(self._folder / "envoy.yaml"), "--admin-address-path", str(address)),
                *("--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"),
                stderr=file,
            )
        async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
            while not self.url:
                assert self._process.returncode is None, log.read_text()
                await asyncio.sleep(0.02)
                if not (address.is_file() and (admin := address.read_text())):
                    continue
                if (await http.get(f"http://{admin}/ready")).status_code == 200:
                    listeners = (await http.get(f"http://{admin}/listeners?format=json")).json()["listener_statuses"]
                    where = listeners[0]["local_address"]["socket_address"]
                    self.url = f"http://127.0.0.1:{where['port_value']}"
        return self

    async def stop(self) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
