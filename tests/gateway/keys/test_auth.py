"""Keys, scopes, limits; and that nothing said by or to a user shows up where it should not."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from router_backend.cli.keys import keys
from router_backend.config import ConfigError
from router_backend.config.safety import Exposure
from router_backend.config.schema import RouterConfig
from router_backend.gateway.app import create_app
from router_backend.gateway.keys.auth import new_key
from router_backend.gateway.service import GatewaySettings
from tests.gateway.conftest import Running, Serve
from tests.gateway.test_requests import check_error
from tests.support.arms import model, router_config
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import Script, ScriptedUpstream


def key_config(name: str, **fields: Any) -> tuple[dict[str, str], dict[str, Any]]:
    """Request headers with a new key, and its entry of router.yaml."""
    key, digest = new_key()
    return {"authorization": f"Bearer {key}"}, {"name": name, "sha256": digest, **fields}


async def test_a_key_is_valid_to_the_end_of_its_last_day(serve: Serve, upstream: ScriptedUpstream) -> None:
    today = datetime.now(UTC).date()
    old, expired = key_config("old", expires=today - timedelta(days=1))
    good, entry = key_config("app", expires=today + timedelta(days=1))
    gateway = await serve(upstream, security={"api_keys": [expired, entry]})
    assert check_error(await gateway.chat(model="a", headers=old), 401)["code"] == "expired_api_key"
    assert (await gateway.chat(model="a", headers=good)).status_code == 200


async def test_requests_need_a_known_key(serve: Serve, upstream: ScriptedUpstream) -> None:
    good, entry = key_config("app")
    gateway = await serve(upstream, security={"api_keys": [entry]})
    unknown = {"authorization": "Bearer llmr-" + "x" * 43}
    basic = {"authorization": good["authorization"].replace("Bearer", "Basic")}
    for headers in ({}, unknown, basic, {"authorization": ""}, {"authorization": "Bearer"}):
        error = check_error(await gateway.chat(model="a", headers=headers), 401)
        assert error["code"] == "invalid_api_key"
    assert not upstream.requests
    assert (await gateway.chat(model="a", headers=good)).status_code == 200
    assert "authorization" not in {name.lower() for name in upstream.request_headers[0]}
    for path in ("/v1/models", "/admin/config", "/v1/decisions/x"):
        check_error(await gateway.http.get(path), 401)
    for path in ("/health/live", "/metrics"):
        assert (await gateway.http.get(path)).status_code == 200


@pytest.mark.parametrize("name", ["x-api-key", "api-key"])
async def test_a_key_may_come_as_anthropics_and_azures_clients_send_it(
    serve: Serve, upstream: ScriptedUpstream, name: str
) -> None:
    good, entry = key_config("app")
    gateway = await serve(upstream, security={"api_keys": [entry]})
    key = good["authorization"].removeprefix("Bearer ")
    assert (await gateway.chat(model="a", headers={name: key})).status_code == 200
    check_error(await gateway.chat(model="a", headers={name: key[:-1]}), 401)
    check_error(await gateway.chat(model="a", headers={name: key, "authorization": "Bearer x"}), 401)


async def test_scopes_are_apart(serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton) -> None:
    chat, chat_entry = key_config("chat", scopes=["chat"])
    feedback, feedback_entry = key_config("feedback", scopes=["feedback"])
    policy, policy_entry = key_config("policy", scopes=["chat", "policy"])
    admin, admin_entry = key_config("admin", scopes=["admin"])
    judge, judge_entry = key_config("judge", scopes=["feedback", "feedback_any"])
    entries = [chat_entry, feedback_entry, policy_entry, admin_entry, judge_entry]
    gateway = await serve(upstream, triton=triton, security={"api_keys": entries})
    answer = await gateway.chat(headers=chat)
    score = {"decision_id": answer.headers["x-router-decision-id"], "score": 1}
    check_error(await gateway.http.post("/v1/feedback", json=score, headers=chat), 403)
    check_error(await gateway.http.post("/v1/feedback", json=score, headers=feedback), 404)  # another key's decision
    assert (await gateway.http.post("/v1/feedback", json=score, headers=judge)).status_code == 200
    check_error(await gateway.chat(headers=feedback), 403)
    check_error(await gateway.chat(headers=chat | {"x-router-policy": "random"}), 403)
    check_error(await gateway.chat(headers=chat, metadata={"router_policy": "random"}), 403)
    assert (await gateway.chat(headers=policy | {"x-router-policy": "random"})).status_code == 200
    check_error(await gateway.http.get("/admin/config", headers=policy), 403)
    shown = await gateway.http.get("/admin/config", headers=admin)
    assert shown.status_code == 200
    assert not any(entry["sha256"] in shown.text for entry in entries)


async def test_decisions_are_shown_to_their_own_key_only(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    mine, my_entry = key_config("mine")
    other, other_entry = key_config("other")
    gateway = await serve(upstream, triton=triton, security={"api_keys": [my_entry, other_entry]})
    url = f"/v1/decisions/{(await gateway.chat(headers=mine)).headers['x-router-decision-id']}"
    assert (await gateway.http.get(url, headers=mine)).status_code == 200
    check_error(await gateway.http.get(url, headers=other), 404)


async def test_each_key_has_its_own_rate(serve: Serve, upstream: ScriptedUpstream) -> None:
    slow, slow_entry = key_config("slow", requests_per_minute=2)
    free, free_entry = key_config("free")
    gateway = await serve(upstream, security={"api_keys": [slow_entry, free_entry]})
    for _ in range(2):
        assert (await gateway.chat(model="a", headers=slow)).status_code == 200
    refused = await gateway.chat(model="a", headers=slow)
    assert check_error(refused, 429)["code"] == "rate_limit_exceeded"
    assert 1 <= int(refused.headers["retry-after"]) <= 31
    assert (await gateway.chat(model="a", headers=free)).status_code == 200


async def test_feedback_has_a_rate_of_its_own(serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton) -> None:
    headers, entry = key_config("k", feedback_per_minute=1)
    gateway = await serve(upstream, triton=triton, security={"api_keys": [entry]})
    score = {"decision_id": (await gateway.chat(headers=headers)).headers["x-router-decision-id"], "score": 1}
    assert (await gateway.http.post("/v1/feedback", json=score, headers=headers)).status_code == 200
    check_error(await gateway.http.post("/v1/feedback", json=score, headers=headers), 429)
    assert (await gateway.chat(headers=headers)).status_code == 200


async def test_without_keys_other_web_sites_are_refused(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream)
    check_error(await gateway.chat(model="a", headers={"sec-fetch-site": "cross-site"}), 403)
    assert (await gateway.chat(model="a", headers={"sec-fetch-site": "same-origin"})).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "example.org"])
def test_a_public_address_needs_keys_or_a_flag(host: str) -> None:
    models = [model("a", "http://127.0.0.1:9/v1")]
    with pytest.raises(ConfigError, match="llm-router keys new"):
        create_app(GatewaySettings(router_config(models), exposure=Exposure(host)))
    create_app(GatewaySettings(router_config(models), exposure=Exposure(host, allow_unauthenticated=True)))
    keyed = router_config(models, security={"api_keys": [key_config("k")[1]]})
    create_app(GatewaySettings(keyed, exposure=Exposure(host)))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_loopback_needs_no_keys(host: str) -> None:
    create_app(GatewaySettings(router_config([model("a", "http://127.0.0.1:9/v1")]), exposure=Exposure(host)))


async def test_a_made_key_works_as_printed(serve: Serve, upstream: ScriptedUpstream) -> None:
    result = CliRunner().invoke(keys, ["new", "it's me", "--scope", "chat"])
    assert result.exit_code == 0
    key = result.stdout.strip()
    lines = result.stderr[result.stderr.index("security:") :]
    assert key not in lines
    gateway = await serve(upstream, **yaml.safe_load(lines))
    assert (await gateway.chat(model="a", headers={"authorization": f"Bearer {key}"})).status_code == 200
    assert CliRunner().invoke(keys, ["new", "x", "--scope", "root"]).exit_code == 2


CANARY = "canary-7f3a9"


async def leave_canaries(gateway: Running, upstream: ScriptedUpstream, headers: dict[str, str]) -> None:
    """Answers, refusals, failures and a crash, each with the canary in the prompt, and in the completion."""
    upstream.script(Script(text=[CANARY]))
    await gateway.chat(CANARY, headers=headers)
    await gateway.chat(CANARY, model="a", stream=True, headers=headers)
    await gateway.chat(CANARY, model=CANARY, headers=headers)
    await gateway.chat(CANARY, model="a", headers=headers, temperature=CANARY)
    await gateway.chat(CANARY, model="a", headers={"authorization": f"Bearer {CANARY}"})
    await gateway.http.post("/v1/chat/completions", content=f'{{"{CANARY}', headers=headers)
    await gateway.http.get(f"/{CANARY}?q={CANARY}", headers=headers)
    upstream.script(Script(status=400, error={"message": CANARY}))
    await gateway.chat(CANARY, model="a", headers=headers)
    upstream.script(Script(cut_after=2, text=[CANARY] * 3))
    await gateway.chat(CANARY, model="a", stream=True, headers=headers)

    async def crash(*_: Any) -> None:
        raise RuntimeError(CANARY)

    gateway.app.runtimes.current.engine.forward = crash  # type: ignore[method-assign, assignment]
    check_error(await gateway.chat(CANARY, model="a", headers=headers), 500)


async def test_no_prompt_completion_or_key_in_logs_or_metrics(
    serve: Serve, upstream: ScriptedUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    headers, entry = key_config("k", requests_per_minute=1000)
    gateway = await serve(upstream, security={"api_keys": [entry]})
    await leave_canaries(gateway, upstream, headers)
    clients = ("httpx", "httpcore")  # the test's own
    logged = "\n".join(
        caplog.handler.format(record) for record in caplog.records if not record.name.startswith(clients)
    )
    assert '"status":200' in logged
    metrics = (await gateway.http.get("/metrics")).text
    secret = headers["authorization"].removeprefix("Bearer ")
    for where in (logged, metrics):
        assert CANARY not in where
        assert secret not in where


async def test_configuration_is_read_again_and_mistakes_change_nothing(
    serve: Serve, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    path = tmp_path / "router.yaml"

    def write(*names: str) -> None:
        models = [model(name, upstream.base_url) for name in names]
        path.write_text(yaml.safe_dump({"version": 1, "models": models, "default_model": names[0]}))

    gateway = await serve(upstream, config_path=path)
    write("a", "late")
    assert (await gateway.http.post("/admin/reload")).json()["models"] == ["a", "late"]
    assert (await gateway.chat(model="late")).status_code == 200
    path.write_text("version: 2")
    error = check_error(await gateway.http.post("/admin/reload"), 409)
    assert "router.yaml:1" in error["message"]
    assert (await gateway.chat(model="late")).status_code == 200
    assert isinstance(gateway.app.runtimes.current.config, RouterConfig)
