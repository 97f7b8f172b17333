"""The table that `llm-router up` prints."""

from __future__ import annotations

from pathlib import Path

from router_backend.config import load_config
from router_backend.launcher.settings import UpSettings
from router_backend.launcher.up import endpoints
from tests.support.configs import local_config


def addresses(tmp_path: Path, **changes: object) -> dict[str, str]:
    config = load_config(local_config(tmp_path, **changes))
    settings = UpSettings(
        config=tmp_path / "router.yaml",
        state_dir=tmp_path,
        model_repository=tmp_path,
        http_port=1,
        grpc_port=2,
        metrics_port=3,
        gateway_port=4,
        local_port=5,
    )
    return {endpoint.name: endpoint.url for endpoint in endpoints(settings, config)}


def test_every_part_has_its_address(tmp_path: Path) -> None:
    assert addresses(tmp_path) == {
        "OpenAI API": "http://127.0.0.1:4/v1",
        "Playground": "http://127.0.0.1:4/",
        "Triton HTTP": "http://127.0.0.1:1",
        "Triton gRPC": "127.0.0.1:2",
        "Metrics": "http://127.0.0.1:4/metrics",
        "Local model": "http://127.0.0.1:5/v1",
    }


def test_only_parts_that_run_are_listed(tmp_path: Path) -> None:
    upstream = {"kind": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "m"}
    models = [{"name": "one", "upstream": upstream, "price": {"input": 1, "output": 1}, "context_window": 8192}]
    found = addresses(tmp_path, models=models, default_model="one", gateway={"playground": False})
    assert {"Playground", "Local model"}.isdisjoint(found)
