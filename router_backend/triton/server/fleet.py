"""`python -m router_backend.triton.server.fleet`: tells every replica of Triton to load the newest version of a model.

Triton's model control speaks to one server; behind a headless Service one name resolves to the addresses of all.
"""

from __future__ import annotations

import os
import socket
from typing import Annotated

import tritonclient.grpc as grpc
import typer
from tritonclient.utils import InferenceServerException

from router_backend.triton.server.container import ADMIN_KEY
from router_backend.triton.server.embedded import ADMIN_HEADER

_LOAD_SECONDS = 300.0


def load_everywhere(service: str, model: str, key: str) -> list[str]:
    """Load `model` on each address of `service` (host:port); returns the addresses, in order.

    Raises:
        OSError: the name has no address.
        RuntimeError: a replica refused; the others before it serve the new version, and it serves the old one.
    """
    host, _, port = service.rpartition(":")
    found = socket.getaddrinfo(host, int(port), family=socket.AF_INET, type=socket.SOCK_STREAM)
    addresses = sorted({f"{entry[4][0]}:{port}" for entry in found})
    for done, address in enumerate(addresses):
        try:
            with grpc.InferenceServerClient(address) as client:
                headers = {f"triton-grpc-protocol-{ADMIN_HEADER}": key}
                client.load_model(model, headers=headers, client_timeout=_LOAD_SECONDS)
        except InferenceServerException as error:
            raise RuntimeError(
                f"{address} did not load {model} ({error.message()}); {done} of {len(addresses)} replicas have it:"
                " mend it and run this again, loading twice does no harm"
            ) from error
    return addresses


def main(
    service: Annotated[str, typer.Argument(help="host:port of Triton's gRPC endpoint; a headless Service's name.")],
    model: Annotated[str, typer.Option(help="Model to load.")] = "classifier",
) -> None:
    """Load a model on every replica; the admin key is read from LLM_ROUTER_ADMIN_KEY."""
    for address in load_everywhere(service, model, os.environ.get(ADMIN_KEY, "")):
        typer.echo(f"{address}: {model} loaded")


if __name__ == "__main__":
    typer.run(main)
