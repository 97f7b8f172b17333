"""Loading a model on every replica behind a name."""

from __future__ import annotations

import socket
from typing import Any, Self

import pytest
from tritonclient.utils import InferenceServerException

from router_backend.triton.server import fleet


class Replica:
    """Triton's client for one address; `refusing` ones answer with an error."""

    refusing: frozenset[str] = frozenset()
    loaded: list[tuple[str, str, dict[str, str]]]

    def __init__(self, address: str) -> None:
        self._address = address

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def load_model(self, model: str, headers: dict[str, str], client_timeout: float) -> None:
        if self._address in self.refusing:
            raise InferenceServerException("wrong key")
        self.loaded.append((self._address, model, headers))


@pytest.fixture
def replicas(monkeypatch: pytest.MonkeyPatch) -> type[Replica]:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 8001)) for host in ("10.0.0.2", "10.0.0.1", "10.0.0.2")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    kind: Any = type("Replicas", (Replica,), {"loaded": []})
    monkeypatch.setattr(fleet.grpc, "InferenceServerClient", kind)
    return kind  # type: ignore[no-any-return]


def test_each_address_loads_it_once_with_the_key(replicas: type[Replica]) -> None:
    assert fleet.load_everywhere("triton:8001", "classifier", "key") == ["10.0.0.1:8001", "10.0.0.2:8001"]
    headers = {"triton-grpc-protocol-triton-admin-key": "key"}
    assert replicas.loaded == [(f"10.0.0.{n}:8001", "classifier", headers) for n in (1, 2)]


def test_a_replica_that_refuses_is_named_with_those_that_are_done(
    replicas: type[Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "refusing", frozenset({"10.0.0.2:8001"}))
    with pytest.raises(RuntimeError, match=r"10\.0\.0\.2:8001 did not load classifier \(wrong key\); 1 of 2"):
        fleet.load_everywhere("triton:8001", "classifier", "")
