"""Our own parts talk to each other directly, whatever proxy the environment names."""

from __future__ import annotations

import pytest

from router_backend.gateway.triton_client import TritonClient
from tests.support.scripted_triton import ScriptedTriton


@pytest.mark.parametrize("name", ["http_proxy", "https_proxy", "grpc_proxy"])
async def test_triton_is_never_asked_through_a_proxy(
    name: str, triton: ScriptedTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    client = TritonClient(triton.url)
    assert await client.decides(30)
    await client.aclose()
