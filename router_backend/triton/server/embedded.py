"""The real tritonserver from nvidia-pytriton's wheel, without a container: its files, environment and command line."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from router_backend import distribution

_BACKENDS = Path(__file__).resolve().parents[1] / "backends"
_IMPORTS = Path(__file__).resolve().parents[3]  # site-packages, or the checkout

# The APIs that change the server or read its memory; the admin key opens them.
_HTTP_ADMIN_APIS = "model-repository,shared-memory,logging,trace"
_GRPC_ADMIN_PROTOCOLS = "model-repository,shared-memory,logging,trace"
ADMIN_HEADER = "triton-admin-key"
_FORWARDED_METADATA = "^(traceparent|tracestate)$"


class EmbeddedTritonMissing(RuntimeError):
    """The wheel with the server's binary isn't installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TritonSettings:
    """Where the server listens and what it serves."""

    host: str
    http_port: int
    grpc_port: int
    metrics_port: int
    model_repository: Path
    work_dir: Path  # the assembled backends
    admin_key: str
    cache_bytes: int  # of the classifier's answers
    http_socket: Path | None = None  # instead of the HTTP address; a guard stands in front
    exit_seconds: int = 10  # that running answers get after SIGTERM


def installation() -> Path:
    """Folder of the tritonserver files in the wheel.

    Raises:
        EmbeddedTritonMissing: nvidia-pytriton isn't installed, or holds no stub for this Python.
    """
    spec = importlib.util.find_spec("pytriton")
    if spec is None or spec.origin is None:
        raise EmbeddedTritonMissing(f"nvidia-pytriton isn't installed: {distribution.add('local')}")
    folder = Path(spec.origin).parent / "tritonserver"
    if not _stub(folder).is_file():
        raise EmbeddedTritonMissing(
            f"no Triton stub for Python {_python()} in nvidia-pytriton; use Python 3.11 or 3.12"
        )
    return folder


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _stub(folder: Path) -> Path:
    return folder / "python_backend_stubs" / _python() / "triton_python_backend_stub"


def assemble_backends(work_dir: Path) -> Path:
    """A backends folder: Triton's python backend with this Python's stub, and our onnxruntime backend.

    Hard links, or copies on another file system: Triton refuses a library that a symbolic link leads out of the folder.
    """
    source = installation()
    files = {
        "python/libtriton_python.so": source / "backends/python/libtriton_python.so",
        "python/triton_python_backend_utils.py": source / "backends/python/triton_python_backend_utils.py",
        "python/triton_python_backend_stub": _stub(source),
        "onnxruntime/model.py": _BACKENDS / "onnxruntime/model.py",
    }
    target = work_dir / "backends"
    for name, file in files.items():
        link = target / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        try:
            link.hardlink_to(file.resolve())
        except OSError:
            shutil.copy2(file, link)
    return target


def command(settings: TritonSettings) -> list[str]:
    """The server's command line. It holds the admin key, since Triton takes it in no other way: see `hide_key`."""
    source = installation()
    return [
        str(source / "bin/tritonserver"),
        *arguments(settings),
        f"--backend-directory={assemble_backends(settings.work_dir)}",
        *(
            f"--backend-config={backend},{setting}"
            for backend in ("python", "onnxruntime")
            for setting in (
                f"shm-region-prefix-name={shared_memory_prefix(settings.work_dir)}{backend}_",
                # A stub that imports its packages on a busy machine takes longer than the default of 30 seconds.
                "stub-timeout-seconds=120",
            )
        ),
        f"--cache-directory={source / 'caches'}",
    ]


def shared_memory_prefix(work_dir: Path) -> str:
    """Of the names of this installation's regions; the folder stands for the installation."""
    return f"llm_router_{hashlib.sha256(str(work_dir.resolve()).encode()).hexdigest()[:16]}_"


def free_shared_memory(settings: TritonSettings) -> None:
    """Remove the regions of a server that was killed: at least a megabyte a model, of a container's 64, for each kill.

    Only while no server of these settings runs.
    """
    for region in Path("/dev/shm").glob(f"{shared_memory_prefix(settings.work_dir)}*"):
        region.unlink(missing_ok=True)


def arguments(settings: TritonSettings) -> list[str]:
    """The part of the command line that is the same in NVIDIA's container."""
    key = f"{ADMIN_HEADER}={settings.admin_key}"
    return [
        f"--model-repository={settings.model_repository}",
        "--model-control-mode=explicit",
        "--load-model=*",
        # The configurations are complete; completing them would start each Python model twice.
        "--disable-auto-complete-config",
        f"--http-address={settings.host if settings.http_socket is None else f'unix:{settings.http_socket}'}",
        f"--http-port={settings.http_port}",
        f"--grpc-address={settings.host}",
        f"--grpc-port={settings.grpc_port}",
        f"--metrics-address={settings.host}",
        f"--metrics-port={settings.metrics_port}",
        f"--cache-config=local,size={settings.cache_bytes}",
        f"--http-restricted-api={_HTTP_ADMIN_APIS}:{key}",
        f"--grpc-restricted-protocol={_GRPC_ADMIN_PROTOCOLS}:{key}",
        # Models see them as parameters of a request. The generate endpoints forward no headers (Triton's issue 8790).
        f"--grpc-header-forward-pattern={_FORWARDED_METADATA}",
        f"--exit-timeout-secs={settings.exit_seconds}",
        "--log-info=false",
        "--allow-gpu-metrics=false",
        "--metrics-config=summary_latencies=true",
    ]


def environment(extra: dict[str, str]) -> dict[str, str]:
    """The server's environment: its libraries, this interpreter's, and our packages for its Python models."""
    libraries = [str(installation().parent.parent / "nvidia_pytriton.libs"), str(sysconfig.get_config_var("LIBDIR"))]
    return {**python_environment(extra), "LD_LIBRARY_PATH": ":".join(libraries)}


def python_environment(extra: dict[str, str]) -> dict[str, str]:
    """The environment of a Python process beside others: this interpreter and these packages, one thread each."""
    paths = dict.fromkeys([str(_IMPORTS), *(path for path in sys.path if path.endswith("site-packages"))])
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
        "PYTHONPATH": ":".join(paths),
        # Each model is a process: threads of its own for numpy would only fight for the same cores.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        **extra,
    }


def hide_key(pid: int, key: str) -> None:
    """Overwrite the admin key in the command line that other processes see (Linux: proc(5), `arg_start`).

    Call it when the server answers: by then it has read its arguments.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    with Path(f"/proc/{pid}/mem").open("r+b", buffering=0) as memory:
        memory.seek(start)
        line = memory.read(end - start)
        memory.seek(start)
        memory.write(line.replace(key.encode(), b"*" * len(key)))
