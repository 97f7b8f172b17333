"""`/admin/config`: nothing of it is a secret."""

from __future__ import annotations

from router_backend.gateway.routes.admin import redacted
from tests.gateway.conftest import Serve
from tests.gateway.keys.test_auth import key_config
from tests.support.scripted_upstream import ScriptedUpstream


async def test_secrets_are_left_out_wherever_they_stand(serve: Serve, upstream: ScriptedUpstream) -> None:
    headers, entry = key_config("operator", scopes=["admin"])
    server = {
        "kind": "openai",
        "base_url": "http://user:hidden@127.0.0.1:9/v1?key=hidden",
        "headers": {"x-key": "hidden"},
    }
    gateway = await serve(
        upstream,
        arm={"upstream": {**server, "model": "m"}},
        security={"api_keys": [entry]},
        discover=[{"upstream": server, "price": {"input": 1, "output": 2}}],
        telemetry={"otlp_endpoint": "http://user:hidden@127.0.0.1:9/?token=hidden"},
    )
    response = await gateway.http.get("/admin/config", headers=headers)
    assert response.status_code == 200, response.text
    assert "hidden" not in response.text
    assert entry["sha256"] not in response.text
    assert response.json()["models"][0]["upstream"]["base_url"] == "http://…@127.0.0.1:9/v1?key=…"


def test_what_is_no_secret_stays() -> None:
    config = {
        "state": "redis://:hidden@redis:6379/2?prefix={a}&password=hidden",
        "models": [{"name": "a", "upstream": {"url": "trtllm:8001", "kind": "tensorrtllm"}}],
        "archive": {"url": "s3://bucket/logs?region=eu-west-1"},
        "note": None,
    }
    assert redacted(config) == {
        **config,
        "state": "redis://…@redis:6379/2?prefix={a}&password=…",
    }
