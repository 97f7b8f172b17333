"""`python -m router_backend.triton.server.container`: becomes tritonserver, in NVIDIA's container (the image's entry point).

The command line is the embedded server's; backends and caches are the container's own. The admin key stands in it, since
Triton takes it in no other way: every process of this container's namespace belongs to Triton.
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from typing import Annotated

import typer

from router_backend.classifier.instances import SHARES, instances, with_instances, with_threads
from router_backend.classifier.repository import MODEL_REPOSITORY
from router_backend.config import load_config
from router_backend.config.runtime import config_path
from router_backend.cores import usable_cores
from router_backend.triton.models import own_server
from router_backend.triton.server.embedded import TritonSettings, arguments

ADMIN_KEY = "LLM_ROUTER_ADMIN_KEY"
app = typer.Typer(add_completion=False)


def settings(
    model_repository: Path, work_dir: Path, cache_bytes: int, exit_seconds: int, host: str, ports: tuple[int, int, int]
) -> TritonSettings:
    """What the server is told. The key comes from `LLM_ROUTER_ADMIN_KEY`, or is a random one that nobody knows."""
    http, grpc, metrics = ports
    return TritonSettings(
        host=host,
        http_port=http,
        grpc_port=grpc,
        metrics_port=metrics,
        model_repository=model_repository,
        work_dir=work_dir,
        admin_key=os.environ.get(ADMIN_KEY) or secrets.token_urlsafe(32),
        cache_bytes=cache_bytes,
        exit_seconds=exit_seconds,
    )


def copied(model_repository: Path, target: Path, gpu_instances: int, cores: float | None) -> Path:
    """A copy of the repository with other numbers of instances.

    `gpu_instances` of the classifier on each GPU, 0: on the CPU; `router` leaves classifying to them then. `cores`, which the
    others follow; None: they stay as they are.
    A copy, since the original is read-only. Promotions into the original need a restart then.

    Raises:
        ValueError: a configuration has no instance group to replace.
    """
    shutil.copytree(model_repository, target, dirs_exist_ok=True)
    wanted = {} if cores is None else {model: ("KIND_CPU", instances(model, cores)) for model in SHARES}
    if gpu_instances:
        wanted["classifier"] = ("KIND_GPU", gpu_instances)
    for model, (kind, count) in wanted.items():
        file = target / model / "config.pbtxt"
        try:
            file.write_text(with_instances(file.read_text(), kind, count))
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
    if gpu_instances:
        file = target / "router" / "config.pbtxt"
        file.write_text(with_threads(file.read_text(), "0"))
    return target


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def main(
    context: typer.Context,
    model_repository: Annotated[Path, typer.Option(help="What is served.")] = MODEL_REPOSITORY,
    work_dir: Annotated[Path, typer.Option(help="For a copy of the models, with instances for this machine.")] = Path(
        "/tmp/triton"
    ),
    cache_bytes: Annotated[
        int | None, typer.Option(help="Of the cache of classifications.", show_default="router.yaml's")
    ] = None,
    exit_seconds: Annotated[int, typer.Option(help="That running answers get after SIGTERM.")] = 600,
    classifier_gpu_instances: Annotated[int, typer.Option(help="Classifiers on each GPU; 0: on the CPU.")] = 0,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "0.0.0.0",
    http_port: Annotated[int, typer.Option(help="HTTP.")] = 8000,
    grpc_port: Annotated[int, typer.Option(help="gRPC.")] = 8001,
    metrics_port: Annotated[int, typer.Option(help="Metrics.")] = 8002,
    server: Annotated[str, typer.Option(help="The server's binary.")] = "tritonserver",
) -> None:
    """Replace this process by tritonserver, so that signals and the exit code are the server's.

    Flags that aren't named here are tritonserver's own and come last. So the container's newer Triton takes what the embedded
    2.51 doesn't know (`--allow-client-shm=true`, off since 26.04; `--http-max-input-size`), and both run one configuration.
    """
    # A repository of one's own says in its configurations how many instances there are.
    cores = usable_cores() if model_repository == MODEL_REPOSITORY else None
    if classifier_gpu_instances or (cores and any(instances(model, cores) > 1 for model in SHARES)):
        model_repository = copied(model_repository, work_dir / "models", classifier_gpu_instances, cores)
    if cache_bytes is None:
        cache_bytes = load_config(config_path()).routing.classifier_cache_bytes
    ports = (http_port, grpc_port, metrics_port)
    told = settings(model_repository, work_dir, cache_bytes, exit_seconds, host, ports)
    # As for the embedded server's models: one thread each.
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    own = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
    os.execvpe(
        server,
        [server, *arguments(told), *context.args],
        {**os.environ, **threads, own_server.ADDRESS: f"{own}:{http_port}"},
    )


if __name__ == "__main__":
    app()
