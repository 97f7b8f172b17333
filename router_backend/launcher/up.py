"""Starts Triton, where it decides, the local model and the gateway, says where they are, and stops them cleanly."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from router_backend.config import RouterConfig, runtime
from router_backend.core import seal
from router_backend.core.supervisor import Service, Supervisor
from router_backend.launcher.settings import NotStarted, UpSettings, admin_key
from router_backend.triton.models import own_server
from router_backend.triton.server import embedded
from router_backend.triton.server.plain_path import plain_path

# Triton's last line only says that some model didn't load.
_SOCKET_FOLDER_CHARACTERS = 90
_ANSWER_SECONDS = 10.0
_LOAD_FAILURE = re.compile(r"failed to load '\w+'|Invalid argument: ensemble")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One line of the table that a user sees."""

    name: str
    url: str
    use: str


def endpoints(settings: UpSettings, config: RouterConfig) -> list[Endpoint]:
    """Where the parts of the system answer."""
    gateway = f"http://{settings.host}:{settings.gateway_port}"
    triton = f"http://{settings.triton_host}:{settings.http_port}"
    rows = [Endpoint("OpenAI API", f"{gateway}/v1", 'POST /chat/completions with "model": "auto"')]
    if config.routing.host == "triton":
        metrics = f"and http://{settings.triton_host}:{settings.metrics_port}/metrics"
        grpc = f"{settings.triton_host}:{settings.grpc_port}"
        rows.append(Endpoint("Triton HTTP", triton, "/v2/models/llm_router/generate"))
        rows.append(Endpoint("Triton gRPC", grpc, "models route, llm_router, feedback"))
    else:
        metrics = "of decisions, too: they are made in the gateway"
    rows.append(Endpoint("Metrics", f"{gateway}/metrics", metrics))
    if config.gateway.playground:
        rows.insert(1, Endpoint("Playground", f"{gateway}/", "in a browser"))
    if _is_local(config):
        url = f"http://127.0.0.1:{settings.local_port}/v1"
        rows.append(Endpoint("Local model", url, "SmolLM2-135M behind every local model name"))
    return rows


async def run(settings: UpSettings, config: RouterConfig, announce: Callable[[], None]) -> None:
    """Start everything, call `announce` when a routed request would succeed, and run until SIGINT or SIGTERM.

    SIGHUP is passed to the gateway, which reads the configuration again.

    Raises:
        StartFailed: a part did not start; nothing is left running.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # Triton waits at its exit for every HTTP connection to be closed: a probe must leave none open.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        supervisor = Supervisor(_services(settings, config, session))
        loop.add_signal_handler(signal.SIGHUP, supervisor.send, "gateway", signal.SIGHUP)
        starting = asyncio.create_task(supervisor.start(settings.ready_seconds))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return
        await starting
        announce()
        await stop.wait()
        await supervisor.stop()


def _services(settings: UpSettings, config: RouterConfig, session: aiohttp.ClientSession) -> list[Service]:
    local_url = f"http://127.0.0.1:{settings.local_port}"
    environment = {
        runtime.CONFIG: str(settings.config.resolve()),
        runtime.STATE_DIR: str(settings.state_dir.resolve()),
        runtime.LOCAL_URL: f"{local_url}/v1",
        seal.KEY: os.environ.get(seal.KEY) or secrets.token_urlsafe(32),
    }
    logs = settings.state_dir / "logs"
    services, socket = [], None
    if config.routing.host == "triton":
        work_dir = plain_path(settings.state_dir.resolve()) / "triton"
        socket = http_socket(work_dir)
        services.append(_triton(settings, config, environment, logs, work_dir, socket))
        services.append(_guard(settings, socket, logs, session))
    if _is_local(config):
        services.append(_local_model(settings, local_url, logs, session))
    services.append(_gateway(settings, config, environment, logs, session, socket))
    if config.archive is not None:
        services.append(_archiver(environment, logs))
    return services


def _triton(
    settings: UpSettings,
    config: RouterConfig,
    environment: dict[str, str],
    logs: Path,
    work_dir: Path,
    socket: Path,
) -> Service:
    key = admin_key(settings.state_dir)
    server = embedded.TritonSettings(
        host=settings.triton_host,
        http_port=settings.http_port,
        grpc_port=settings.grpc_port,
        metrics_port=settings.metrics_port,
        model_repository=plain_path(settings.model_repository.resolve()),
        work_dir=work_dir,
        http_socket=socket,
        admin_key=key,
        cache_bytes=config.routing.classifier_cache_bytes,
    )

    def clear() -> None:
        embedded.free_shared_memory(server)
        socket.unlink(missing_ok=True)

    return Service(
        name="triton",
        command=embedded.command(server),
        environment=embedded.environment({**environment, own_server.ADDRESS: f"unix:{socket}"}),
        log_file=logs / "triton.log",
        ready=_answers_at(socket, "/v2/health/ready"),
        alive=_answers_at(socket, "/v2/health/live"),
        failure=_LOAD_FAILURE,
        before_start=clear,
        on_ready=lambda pid: embedded.hide_key(pid, key),
    )


def http_socket(work_dir: Path) -> Path:
    """Triton's HTTP, for the guard and the gateway alone: in a folder of its owner, by a name short enough for a socket (107 bytes)."""
    folder = work_dir
    if len(str(folder)) > _SOCKET_FOLDER_CHARACTERS:
        digest = hashlib.sha256(str(work_dir).encode()).hexdigest()[:16]
        folder = Path("/tmp") / f"llm-router-{os.getuid()}-{digest}.triton"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise NotStarted(f"{folder} belongs to another user: remove it, or take a state folder with a shorter path")
    folder.chmod(0o700)
    return folder / "http.sock"


def _guard(settings: UpSettings, socket: Path, logs: Path, session: aiohttp.ClientSession) -> Service:
    place = ("--host", settings.triton_host, "--port", str(settings.http_port), "--socket", str(socket))
    return Service(
        name="triton's guard",
        command=[sys.executable, "-m", "router_backend.triton.server.guard", *place],
        environment=embedded.python_environment({}),
        log_file=logs / "triton-guard.log",
        ready=_answers(session, f"http://{settings.triton_host}:{settings.http_port}/v2/health/live"),
        alive=_answers(session, f"http://{settings.triton_host}:{settings.http_port}/", _REFUSED),
        stop_seconds=5,
    )


def _local_model(settings: UpSettings, url: str, logs: Path, session: aiohttp.ClientSession) -> Service:
    module = "router_backend.launcher.local_model"
    return Service(
        name="local model",
        command=[sys.executable, "-m", module, "--port", str(settings.local_port)],
        environment=embedded.python_environment({}),
        log_file=logs / "local-model.log",
        ready=_answers(session, f"{url}/health"),
        alive=_answers(session, f"{url}/health"),
        stop_seconds=5,
    )


def _archiver(environment: dict[str, str], logs: Path) -> Service:
    async def ready() -> bool:
        return True  # nobody asks it anything

    return Service(
        name="archive",
        command=[sys.executable, "-m", "router_backend.archive"],
        environment=embedded.python_environment(environment),
        log_file=logs / "archive.log",
        ready=ready,
        stop_seconds=30,
    )


def _gateway(
    settings: UpSettings,
    config: RouterConfig,
    environment: dict[str, str],
    logs: Path,
    session: aiohttp.ClientSession,
    triton: Path | None,
) -> Service:
    url = f"{'https' if config.security.tls else 'http'}://{settings.host}:{settings.gateway_port}/health"
    return Service(
        name="gateway",
        command=[
            *(sys.executable, "-m", "router_backend.gateway"),
            *(
                "--config",
                str(settings.config.resolve()),
                "--host",
                settings.host,
                "--port",
                str(settings.gateway_port),
            ),
            # The socket itself: the guard is for others.
            *(("--triton-url", f"unix:{triton}") if triton else ()),
            *("--journal", str(settings.state_dir.resolve() / "journal")),
            *(("--allow-unauthenticated",) if settings.allow_unauthenticated else ()),
        ],
        environment=embedded.python_environment(environment),
        log_file=logs / "gateway.log",
        ready=_answers(session, f"{url}/ready"),
        alive=_answers(session, f"{url}/live"),
        stop_seconds=config.gateway.drain_seconds + 5,
    )


def _is_local(config: RouterConfig) -> bool:
    return any(model.upstream.kind == "local" for model in config.models)


_REFUSED = {"sec-fetch-site": "cross-site"}
"""What the guard refuses by itself: Triton behind it may be frozen."""


def _answers_at(socket: Path, path: str) -> Callable[[], asyncio.Future[bool]]:
    async def ask() -> bool:
        connector = aiohttp.UnixConnector(str(socket), force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session:
            return await _answers(session, f"http://triton{path}")()

    return lambda: asyncio.ensure_future(ask())


def _answers(
    session: aiohttp.ClientSession, url: str, headers: Mapping[str, str] | None = None
) -> Callable[[], asyncio.Future[bool]]:
    """A question that returns whether the answer was 200, False as well if nobody listens.

    Raises:
        TimeoutError: no answer.
    """

    async def ask() -> bool:
        try:
            limit = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
            async with session.get(url, headers=headers, timeout=limit, ssl=False) as response:
                return response.status == 200
        except TimeoutError:
            raise
        except aiohttp.ClientError:
            return False

    return lambda: asyncio.ensure_future(ask())
