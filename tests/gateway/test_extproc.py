"""The router as the external processor of a real Envoy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from router_backend.gateway.keys.auth import new_key
from tests.gateway.conftest import Running, Serve
from tests.support.envoy import Envoy, envoy_config
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import Script, ScriptedUpstream

MODES = ["BUFFERED", "FULL_DUPLEX_STREAMED"]


@dataclass
class Mesh:
    """Envoy in front of models `a` and `b`, and the gateway beside it."""

    url: str
    gateway: Running
    http: httpx.AsyncClient

    def sdk(self, key: str = "none") -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            base_url=f"{self.url}/v1", api_key=key, max_retries=0, http_client=httpx.AsyncClient(trust_env=False)
        )

    async def chat(self, model: str = "auto", **fields: Any) -> httpx.Response:
        headers = fields.pop("headers", None)
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **fields}
        return await self.http.post("/v1/chat/completions", json=body, headers=headers)

    async def outcome(self, triton: ScriptedTriton, decision_id: str) -> dict[str, Any]:
        """What was reported of a decision, as soon as it is."""
        async with asyncio.timeout(30):
            while decision_id not in triton.outcomes:
                await asyncio.sleep(0.01)
        return triton.outcomes[decision_id]


MeshFor = Callable[..., Coroutine[Any, Any, Mesh]]


@pytest.fixture
async def mesh_for(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton, tmp_path: Path
) -> AsyncIterator[MeshFor]:
    async with AsyncExitStack() as stack:

        async def start(
            mode: str, deadline: float = 10.0, triton: ScriptedTriton | None = triton, **sections: Any
        ) -> Mesh:
            gateway = await serve(
                upstream,
                second,
                triton=triton,
                **{"gateway": {"extproc_port": 0, **sections.pop("gateway", {})}, **sections},
            )
            assert gateway.app.processor
            ports = {"a": upstream.port, "b": second.port}
            envoy = Envoy(tmp_path / "envoy", envoy_config(gateway.app.processor.port, ports, mode, deadline))
            await envoy.start()
            stack.push_async_callback(envoy.stop)
            http = httpx.AsyncClient(base_url=envoy.url, timeout=30, trust_env=False)
            stack.push_async_callback(http.aclose)
            return Mesh(envoy.url, gateway, http)

        yield start


@pytest.fixture(params=MODES)
async def mesh(request: pytest.FixtureRequest, mesh_for: MeshFor) -> Mesh:
    return await mesh_for(request.param)


async def test_a_prompt_goes_to_the_model_of_its_decision(
    mesh: Mesh, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    triton.models = ["b", "a"]
    answer = await mesh.chat()
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "Hello, world"
    assert answer.headers["x-router-model"] == "b"
    assert answer.headers["x-router-task"] == triton.task
    assert upstream.requests == []
    assert second.requests[0]["model"] == "upstream-model"  # its server's name, not ours
    assert second.request_headers[0]["x-gateway-model-name"] == "upstream-model"
    outcome = await mesh.outcome(triton, answer.headers["x-router-decision-id"])
    assert (outcome["served"], outcome["status"], outcome["usage_known"]) == ("b", 200, True)
    assert (outcome["usage"]["prompt"], outcome["usage"]["completion"]) == (7, 3)


@pytest.mark.parametrize("wanted", [True, False], ids=["with usage", "without"])
async def test_a_stream_passes_untouched_and_its_usage_is_recorded(
    mesh: Mesh, triton: ScriptedTriton, wanted: bool
) -> None:
    options: Any = {"stream_options": {"include_usage": True}} if wanted else {}
    stream = await mesh.sdk().chat.completions.with_raw_response.create(
        model="auto", messages=[{"role": "user", "content": "hi"}], stream=True, **options
    )
    text = [chunk.choices[0].delta.content or "" async for chunk in stream.parse() if chunk.choices]
    assert "".join(text) == "Hello, world"
    outcome = await mesh.outcome(triton, stream.headers["x-router-decision-id"])
    assert (outcome["served"], outcome["status"], outcome["streamed"]) == ("a", 200, True)
    assert outcome["usage_known"] is wanted
    assert outcome["usage"]["completion"] == 3  # counted from the chunks where nothing was said


async def test_the_first_token_does_not_wait_for_the_last(mesh: Mesh, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(hang_after=2))
    async with mesh.http.stream(
        "POST",
        "/v1/chat/completions",
        json={"model": "auto", "stream": True, "messages": [{"role": "user", "content": "x"}]},
    ) as answer:
        async for line in answer.aiter_lines():
            if "Hello" in line:
                break


async def test_a_client_that_leaves_pays_for_what_was_written(
    mesh: Mesh, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    upstream.script(Script(hang_after=3))
    async with mesh.http.stream(
        "POST",
        "/v1/chat/completions",
        json={"model": "auto", "stream": True, "messages": [{"role": "user", "content": "x"}]},
    ) as answer:
        decision_id = answer.headers["x-router-decision-id"]
        async for line in answer.aiter_lines():
            if "Hello" in line:
                break
    outcome = await mesh.outcome(triton, decision_id)
    assert outcome["status"] == 499
    assert outcome["usage"]["completion"] >= 1


@pytest.mark.parametrize("status", [400, 429, 500])
async def test_an_upstreams_error_is_recorded_as_it_is(
    mesh: Mesh, upstream: ScriptedUpstream, triton: ScriptedTriton, status: int
) -> None:
    upstream.script(Script(status=status))
    answer = await mesh.chat()
    assert answer.status_code == status
    assert (await mesh.outcome(triton, answer.headers["x-router-decision-id"]))["status"] == status


async def test_a_cut_stream_is_recorded_as_cut(mesh: Mesh, upstream: ScriptedUpstream, triton: ScriptedTriton) -> None:
    upstream.script(Script(cut_after=2))
    with pytest.raises(httpx.HTTPError):
        await mesh.chat(stream=True)
    async with asyncio.timeout(30):
        while not triton.outcomes:
            await asyncio.sleep(0.01)
    [outcome] = triton.outcomes.values()
    assert outcome["status"] in (499, 502)  # Envoy resets the stream, as when the client leaves


async def test_a_bad_request_is_refused_before_any_model(mesh: Mesh, upstream: ScriptedUpstream) -> None:
    answer = await mesh.http.post("/v1/chat/completions", content=b'{"model": "auto", "messages": 3}')
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/json")
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert upstream.requests == []


async def test_what_is_not_ours_passes(mesh: Mesh, upstream: ScriptedUpstream) -> None:
    models = await mesh.http.get("/v1/models")
    assert models.json() == upstream.models  # the scripted server's word, as the next one's status
    rerank = await mesh.http.post("/v1/rerank", json={"query": "x"})
    assert rerank.status_code == 404
    assert not any("x-router-decision-id" in answer.headers for answer in (models, rerank))


async def test_a_model_that_we_do_not_have_is_another_routes(mesh: Mesh, upstream: ScriptedUpstream) -> None:
    answer = await mesh.chat("somebody-elses")
    assert answer.status_code == 200
    assert upstream.requests[0]["model"] == "somebody-elses"


async def test_a_large_body_passes_whole(mesh: Mesh, upstream: ScriptedUpstream) -> None:
    text = "word " * 100_000
    answer = await mesh.http.post(
        "/v1/chat/completions", json={"model": "auto", "messages": [{"role": "user", "content": text}]}
    )
    assert answer.status_code == 200, answer.text
    assert upstream.requests[0]["messages"][0]["content"] == text


@pytest.mark.parametrize("mode", MODES)
async def test_keys_count_here_as_well_and_stay_here(mesh_for: MeshFor, upstream: ScriptedUpstream, mode: str) -> None:
    key, digest = new_key()
    mesh = await mesh_for(mode, security={"api_keys": [{"name": "team", "sha256": digest, "scopes": ["chat"]}]})
    assert (await mesh.chat()).status_code == 401
    assert (await mesh.chat(headers={"authorization": f"Bearer {key}"})).status_code == 200
    assert len(upstream.requests) == 1
    assert "authorization" not in {name.lower() for name in upstream.request_headers[0]}


@pytest.mark.parametrize("mode", MODES)
async def test_without_triton_the_default_model_answers(mesh_for: MeshFor, mode: str) -> None:
    mesh = await mesh_for(mode, triton=None)
    answer = await mesh.chat()
    assert answer.status_code == 200
    assert answer.headers["x-router-reason"].startswith("fallback:")


async def test_without_the_router_envoys_default_route_answers(mesh_for: MeshFor) -> None:
    mesh = await mesh_for("BUFFERED")
    assert mesh.gateway.app.processor
    await mesh.gateway.app.processor.aclose(0)
    answer = await mesh.chat()
    assert answer.status_code == 200
    assert "x-router-model" not in answer.headers
