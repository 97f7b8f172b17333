"""An earlier decision, looked up by its id."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from llm_router_client import NotFoundError
from tests.clients.conftest import Connect

DECISION = {"object": "router.decision", "decision_id": "d/1", "model": "small", "expected_cost": {"small": 0.1}}


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """A gateway that remembers one decision."""

    async def get(request: web.Request) -> web.Response:
        if request.raw_path == "/v1/decisions/d%2F1":
            return web.json_response({**DECISION, "answer": {"served": "small"}})
        return web.json_response({"error": {"message": "Not among the last", "code": "decision_not_found"}}, status=404)

    app = web.Application()
    app.router.add_get("/{path:.*}", get)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_decision_is_looked_up_with_what_came_of_it(connect: Connect, url: str) -> None:
    decision = await connect(url).decision("d/1")
    assert (decision.decision_id, decision.model, decision.expected_cost) == ("d/1", "small", {"small": 0.1})
    assert decision.raw["answer"] == {"served": "small"}


async def test_an_unknown_decision_is_not_found(connect: Connect, url: str) -> None:
    with pytest.raises(NotFoundError, match="Not among"):
        await connect(url).decision("d2")


@pytest.mark.parametrize("scheme", ["triton+http", "triton+grpc"])
async def test_triton_keeps_none(connect: Connect, scheme: str) -> None:
    with pytest.raises(ValueError, match="the gateway does"):
        await connect(f"{scheme}://127.0.0.1:1").decision("d1")
