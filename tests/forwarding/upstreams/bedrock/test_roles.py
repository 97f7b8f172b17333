"""A role that is assumed for Bedrock, by botocore's own chain, in front of a scripted STS."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from router_backend.config.schema import RouterConfig
from router_backend.forwarding.failure import ForwardError
from router_backend.forwarding.request import ForwardRequest
from tests.forwarding.upstreams.bedrock.conftest import MODEL, BuildEngine
from tests.support.scripted_bedrock import ACCESS, SECRET, ScriptedBedrock

ROLE = "arn:aws:iam::123456789012:role/bedrock-caller"
REQUEST = ForwardRequest(body={"model": "a", "messages": [{"role": "user", "content": "hi"}]}, arms=["a"])


class Sts:
    """Lets `ROLE` be assumed for so many seconds, or refuses."""

    def __init__(self) -> None:
        self.asked: list[dict[str, list[str]]] = []
        self.keys: list[str] = []
        self.seconds, self.refuses = 3600, False

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(parse_qs(await request.text()))
        self.keys.append(request.headers["authorization"].partition("Credential=")[2].partition("/")[0])
        if self.refuses:
            error = "<Error><Code>AccessDenied</Code><Message>not allowed</Message></Error>"
            return web.Response(status=403, text=f"<ErrorResponse>{error}</ErrorResponse>", content_type="text/xml")
        ends = (datetime.now(UTC) + timedelta(seconds=self.seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        found = (
            f"<AccessKeyId>{ACCESS}</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>"
            f"<SessionToken>TOKEN</SessionToken><Expiration>{ends}</Expiration>"
        )
        text = (
            '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>'
            f"<Credentials>{found}</Credentials></AssumeRoleResult></AssumeRoleResponse>"
        )
        return web.Response(text=text, content_type="text/xml")


@pytest.fixture
async def sts(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sts]:
    server, app = Sts(), web.Application()
    app.router.add_post("/", server.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{runner.addresses[0][1]}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDOFTHISMACHINE")  # Bedrock would refuse it
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    yield server
    await runner.cleanup()


async def test_calls_are_signed_by_the_role(sts: Sts, bedrock: ScriptedBedrock, engine_for: BuildEngine) -> None:
    engine = engine_for(bedrock, upstream={"role_arn": ROLE, "external_id": "of-our-contract"})
    for _ in range(3):
        await engine.forward(REQUEST)
    assert sts.keys == ["AKIDOFTHISMACHINE"]  # once: what is fetched is good for an hour
    (asked,) = sts.asked
    names = ("Action", "RoleArn", "RoleSessionName", "ExternalId")
    assert [asked[name] for name in names] == [["AssumeRole"], [ROLE], ["llm-router"], ["of-our-contract"]]


async def test_a_role_is_assumed_again_before_it_ends(
    sts: Sts, bedrock: ScriptedBedrock, engine_for: BuildEngine
) -> None:
    sts.seconds = 60
    engine = engine_for(bedrock, upstream={"role_arn": ROLE})
    for _ in range(2):
        await engine.forward(REQUEST)
    assert len(sts.asked) == 2


async def test_a_role_that_may_not_be_assumed_is_the_routers_own_fault(
    sts: Sts, bedrock: ScriptedBedrock, engine_for: BuildEngine
) -> None:
    sts.refuses = True
    engine = engine_for(bedrock, upstream={"role_arn": ROLE})
    with pytest.raises(ForwardError) as refused:
        await engine.forward(REQUEST)
    assert refused.value.error.status == 502
    assert "not allowed" in refused.value.error.message


@pytest.mark.parametrize("upstream", [{"role_arn": "bedrock-caller"}, {"external_id": "of-our-contract"}])
def test_what_no_role_is(upstream: dict[str, str]) -> None:
    upstream = {"kind": "bedrock", "model": MODEL, "region": "us-east-1", **upstream}
    model = {"name": "a", "upstream": upstream, "price": {"input": 1, "output": 2}, "context_window": 8192}
    with pytest.raises(ValueError, match="role"):
        RouterConfig.model_validate({"version": 1, "models": [model], "default_model": "a"})
