"""What was checked at the start is checked for as long as the gateway runs; the file is followed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from router_backend.config.safety import Exposure
from tests.gateway.conftest import Running, Serve
from tests.gateway.keys.test_auth import key_config
from tests.gateway.test_requests import check_error
from tests.support.arms import model
from tests.support.scripted_upstream import Script, ScriptedUpstream

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, upstream: ScriptedUpstream) -> Write:
    """Writes a router.yaml with model `a` and the given sections."""

    def written(**sections: Any) -> None:
        config = {"version": 1, "models": [model("a", upstream.base_url)], "default_model": "a", **sections}
        (tmp_path / "router.yaml").write_text(yaml.safe_dump(config, sort_keys=False))

    return written


async def until_status(gateway: Running, status: int, headers: dict[str, str]) -> None:
    async with asyncio.timeout(10):
        while (await gateway.http.get("/v1/models", headers=headers)).status_code != status:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
async def test_a_reload_never_opens_a_gateway_that_had_keys(
    serve: Serve, upstream: ScriptedUpstream, write: Write, tmp_path: Path, host: str
) -> None:
    headers, entry = key_config("admin", scopes=["chat", "admin"])
    write(security={"api_keys": [entry]})
    gateway = await serve(
        upstream, security={"api_keys": [entry]}, config_path=tmp_path / "router.yaml", exposure=Exposure(host)
    )
    write(retention_days=30)
    error = check_error(await gateway.http.post("/admin/reload", headers=headers), 409)
    assert f"{tmp_path}/router.yaml:" in error["message"]
    assert "security.api_keys" in error["message"]
    await gateway.app.runtimes.reload_or_log()  # as SIGHUP does
    check_error(await gateway.chat(model="a"), 401)
    assert (await gateway.chat(model="a", headers=headers)).status_code == 200


async def test_strangers_that_were_meant_may_stay(
    serve: Serve, upstream: ScriptedUpstream, write: Write, tmp_path: Path
) -> None:
    exposure = Exposure("0.0.0.0", allow_unauthenticated=True)
    gateway = await serve(upstream, config_path=tmp_path / "router.yaml", exposure=exposure)
    write(retention_days=30)
    assert (await gateway.http.post("/admin/reload")).status_code == 200


async def test_tls_is_not_dropped_by_a_reload(
    serve: Serve, upstream: ScriptedUpstream, write: Write, tmp_path: Path
) -> None:
    gateway = await serve(upstream, config_path=tmp_path / "router.yaml")
    write(security={"tls": {"certificate": "/nowhere.pem", "key": "/nowhere.key"}})
    error = check_error(await gateway.http.post("/admin/reload"), 409)
    assert "router.yaml:" in error["message"]
    assert "security.tls" in error["message"]


async def test_many_reloads_under_load_cost_no_answer(serve: Serve, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.script(Script(text=["a"] * 5, delay=0.01))
    path = tmp_path / "router.yaml"
    config: dict[str, Any] = {"version": 1, "models": [model("a", upstream.base_url)], "default_model": "a"}
    path.write_text(yaml.safe_dump(config))
    gateway = await serve(upstream, config_path=path)
    ended = asyncio.Event()

    async def ask_on(stream: bool) -> list[int]:
        statuses = []
        while not ended.is_set():
            answer = await gateway.chat(model="a", stream=stream)
            statuses.append(answer.status_code if "error" not in answer.text else 0)
        return statuses

    async with asyncio.TaskGroup() as clients:
        tasks = [clients.create_task(ask_on(stream)) for stream in (False, True) * 2]
        for at in range(50):
            path.write_text(yaml.safe_dump({**config, "timeouts": {"total": 100 + at}}))
            assert (await gateway.http.post("/admin/reload")).status_code == 200
        ended.set()
    assert {status for task in tasks for status in task.result()} == {200}


async def test_a_key_that_is_taken_out_of_the_file_stops_being_valid(
    serve: Serve, upstream: ScriptedUpstream, write: Write, tmp_path: Path
) -> None:
    kept, kept_entry = key_config("kept")
    revoked, revoked_entry = key_config("revoked")
    security = {"api_keys": [kept_entry, revoked_entry]}
    write(security=security)
    gateway = await serve(upstream, security=security, config_path=tmp_path / "router.yaml")
    await until_status(gateway, 200, revoked)
    write(security={"api_keys": [kept_entry]})
    await until_status(gateway, 401, revoked)
    assert (await gateway.chat(model="a", headers=kept)).status_code == 200


async def test_a_file_that_becomes_unusable_or_unsafe_is_reported_and_not_used(
    serve: Serve, upstream: ScriptedUpstream, write: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    headers, entry = key_config("k")
    write(security={"api_keys": [entry]})
    gateway = await serve(upstream, security={"api_keys": [entry]}, config_path=tmp_path / "router.yaml")
    caplog.set_level(logging.ERROR)
    for broken, said in (({}, "security.api_keys"), ({"version": 2}, "version")):
        write(**broken)
        async with asyncio.timeout(10):
            while said not in caplog.text:
                await asyncio.sleep(0.02)
    check_error(await gateway.chat(model="a"), 401)
    assert (await gateway.chat(model="a", headers=headers)).status_code == 200


RAW = "llmr-" + "q7" * 21


@pytest.mark.parametrize(
    "changes",
    [
        {"security": {"api_keys": [{"name": "k", "sha256": RAW}]}},
        {"security": {"api_keys": [{"name": "k", "sha256": "A" + RAW.removeprefix("llmr-")}]}},
        {"security": {"api_keys": [RAW]}},
        {"security": {"api_keys": [{"name": "k", "sha256": "0" * 64, RAW: 1}]}},
        {"security": {"api_keys": RAW}},
        {"security": RAW},
        {RAW: 1},
        {"state": f"postgres://user:{RAW.removeprefix('llmr-')}@db"},
        {"default_model": RAW},
    ],
)
async def test_a_secret_in_the_wrong_place_is_never_repeated(
    serve: Serve,
    upstream: ScriptedUpstream,
    write: Write,
    tmp_path: Path,
    changes: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    gateway = await serve(upstream, config_path=tmp_path / "router.yaml")
    write(**changes)
    answer = await gateway.http.post("/admin/reload")
    assert check_error(answer, 409)["code"] == "invalid_configuration"
    await gateway.app.runtimes.reload_or_log()
    assert "router.yaml:" in caplog.text
    for said in (answer.text, "\n".join(caplog.handler.format(record) for record in caplog.records)):
        assert "q7q7" not in said
