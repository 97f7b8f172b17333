"""Requests from browsers: preflights, sites that may call, pages that found us by a name of their own."""

from __future__ import annotations

import httpx
import pytest

from tests.gateway.conftest import Serve
from tests.gateway.keys.test_auth import key_config
from tests.gateway.test_requests import check_error
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import ScriptedUpstream

SITE = "https://chat.example.org"
PREFLIGHT = {
    "origin": SITE,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type",
}


@pytest.mark.parametrize("origins", [[SITE], ["*"]])
async def test_a_configured_site_may_call(serve: Serve, upstream: ScriptedUpstream, origins: list[str]) -> None:
    headers, entry = key_config("page")
    gateway = await serve(upstream, security={"api_keys": [entry]}, gateway={"cors_origins": origins})
    allowed = await gateway.http.options("/v1/chat/completions", headers=PREFLIGHT)
    assert allowed.status_code == 204
    assert allowed.headers["access-control-allow-origin"] == SITE
    assert "POST" in allowed.headers["access-control-allow-methods"]
    assert allowed.headers["access-control-allow-headers"] == "authorization,content-type"
    answer = await gateway.chat(model="a", headers={**headers, "origin": SITE, "sec-fetch-site": "cross-site"})
    refused = await gateway.chat(model="a", headers={"origin": SITE})
    assert (answer.status_code, refused.status_code) == (200, 401)
    for response in (answer, refused):
        assert response.headers["access-control-allow-origin"] == SITE
        assert response.headers["vary"] == "origin"
        assert "x-router-decision-id" in response.headers["access-control-expose-headers"]


async def test_without_keys_a_configured_site_may_call_and_others_not(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream, gateway={"cors_origins": [SITE]})
    cross = {"sec-fetch-site": "cross-site"}
    assert (await gateway.chat(model="a", headers={"origin": SITE, **cross})).status_code == 200
    check_error(await gateway.http.get("/admin/config", headers={"origin": SITE, **cross}), 403)
    other = await gateway.chat(model="a", headers={"origin": "https://evil.example", **cross})
    assert check_error(other, 403)["code"] == "cross_site_request"
    assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize("origins", [[], ["https://other.example.org"]])
async def test_a_preflight_of_others_is_refused(serve: Serve, upstream: ScriptedUpstream, origins: list[str]) -> None:
    gateway = await serve(upstream, gateway={"cors_origins": origins})
    response = await gateway.http.options("/v1/chat/completions", headers=PREFLIGHT)
    assert check_error(response, 405)["code"] == "method_not_allowed"
    assert "access-control-allow-origin" not in response.headers


REBOUND = {"host": "evil.example:8080", "sec-fetch-site": "same-origin"}


@pytest.mark.parametrize("path", ["/admin/config", "/", "/playground.js", "/v1/models"])
async def test_a_page_that_led_its_own_name_here_is_refused(
    serve: Serve, upstream: ScriptedUpstream, path: str
) -> None:
    gateway = await serve(upstream)
    assert check_error(await gateway.http.get(path, headers=REBOUND), 403)["code"] == "unknown_host"
    for host in ("127.0.0.1", "localhost:8080", "[::1]:8080", "10.1.2.3:80", "llm.localhost"):
        assert (await gateway.http.get(path, headers={**REBOUND, "host": host})).status_code == 200


async def test_admin_answers_its_own_names_only(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream, gateway={"allowed_hosts": ["Router.internal"]})
    check_error(await gateway.http.get("/admin/config", headers={"host": "evil.example"}), 403)
    for headers in ({"host": "router.internal:8080"}, {**REBOUND, "host": "router.internal"}):
        assert (await gateway.http.get("/admin/config", headers=headers)).status_code == 200
    # No browser, no rebinding: programs find the gateway by any name.
    assert (await gateway.chat(model="a", headers={"host": "llm-router.svc"})).status_code == 200


async def test_with_keys_any_name_will_do(serve: Serve, upstream: ScriptedUpstream) -> None:
    headers, entry = key_config("k")
    gateway = await serve(upstream, security={"api_keys": [entry]})
    assert (await gateway.http.get("/v1/models", headers={**headers, **REBOUND})).status_code == 200
    assert (await gateway.http.get("/", headers=REBOUND)).status_code == 200


async def test_health_is_where_servers_of_models_have_it(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    ready, alone = await serve(upstream, triton=triton), await serve(upstream)
    assert (await ready.http.get("/health")).status_code == 200
    assert (await alone.http.get("/health")).status_code == 503


async def test_a_body_that_says_it_is_as_it_is(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream)
    assert (await gateway.chat(model="a", headers={"content-encoding": "Identity"})).status_code == 200


async def test_a_hint_in_two_lines_is_one_list(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, second, triton=triton)
    headers = httpx.Headers([("x-router-models", "b"), ("x-router-models", "a")])
    body = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]}
    assert (await gateway.http.post("/v1/chat/completions", json=body, headers=headers)).status_code == 200
    assert sorted(triton.asked[0]["candidates"]) == ["a", "b"]


async def test_feedback_that_is_too_long_names_its_own_limit(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream)
    response = await gateway.http.post("/v1/feedback", content=b" " * 70_000)
    assert "max_body_bytes" not in check_error(response, 413)["message"]
