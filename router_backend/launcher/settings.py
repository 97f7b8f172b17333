"""What `llm-router up` may be told, and the checks that come before anything starts."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from router_backend.config import RouterConfig, load_config
from router_backend.config.base import Mistake
from router_backend.config.runtime import ADMIN_KEY_FILE
from router_backend.config.safety import Exposure, check_safe
from router_backend.core.addresses import is_loopback
from router_backend.launcher.ports import claim
from router_backend.launcher.preflight import findings


class NotStarted(RuntimeError):
    """Something is missing or forbidden; says what to do. Nothing was started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpSettings:
    """Addresses and folders of one machine's system. Port 0 takes a free one."""

    config: Path
    state_dir: Path
    model_repository: Path
    host: str = "127.0.0.1"
    triton_host: str = "127.0.0.1"
    http_port: int = 8000
    grpc_port: int = 8001
    metrics_port: int = 8002
    gateway_port: int = 8080
    local_port: int = 0
    allow_unauthenticated: bool = False
    ready_seconds: float = 120.0


def check(settings: UpSettings, advise: Callable[[str], None] = lambda text: None) -> tuple[UpSettings, RouterConfig]:
    """Settings with every port resolved, and the configuration. `advise` is told what is hardly meant but can start.

    Raises:
        NotStarted, PortTaken: each says what to do; everything that is wrong at once, a line each.
    """
    found = list(findings(settings.config, settings.state_dir, settings.model_repository))
    if wrong := [f"{finding.name}: {finding.error}" for finding in found if finding.error]:
        raise NotStarted("\n".join(wrong))
    for finding in found:
        if finding.advice:
            advise(f"{finding.name}: {finding.advice}")
    config = load_config(settings.config)
    try:
        check_safe(config, Exposure(settings.host, settings.allow_unauthenticated))
    except Mistake as mistake:
        raise NotStarted(str(mistake)) from mistake
    if not is_loopback(settings.triton_host) and not settings.allow_unauthenticated:
        raise NotStarted(
            f"--triton-host {settings.triton_host} is reachable from outside and Triton's inference endpoints know no"
            " keys: keep it on loopback behind the gateway, or pass --allow-unauthenticated"
        )
    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return _with_ports(settings, config.routing.host == "triton"), config


def _with_ports(settings: UpSettings, triton: bool) -> UpSettings:
    claimed = replace(
        settings,
        gateway_port=claim(settings.host, settings.gateway_port, "--gateway-port"),
        local_port=claim("127.0.0.1", settings.local_port, "--local-port"),
    )
    ports = [claimed.gateway_port, claimed.local_port]
    if triton:
        host = settings.triton_host
        claimed = replace(
            claimed,
            http_port=claim(host, settings.http_port, "--http-port"),
            grpc_port=claim(host, settings.grpc_port, "--grpc-port"),
            metrics_port=claim(host, settings.metrics_port, "--metrics-port"),
        )
        ports += [claimed.http_port, claimed.grpc_port, claimed.metrics_port]
    if len(set(ports)) < len(ports):
        raise NotStarted("two of the ports are the same; give each its own")
    return claimed


def admin_key(state_dir: Path) -> str:
    """A new key for Triton's admin APIs, kept in a file of the state folder that only its owner reads."""
    key = secrets.token_urlsafe(32)
    file = state_dir / ADMIN_KEY_FILE
    file.touch(mode=0o600, exist_ok=True)
    file.chmod(0o600)
    file.write_text(key)
    return key
