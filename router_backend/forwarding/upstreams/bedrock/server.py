"""One arm's model on Amazon Bedrock."""

from __future__ import annotations

from urllib.parse import quote

from yarl import URL

from router_backend.config.models import BedrockUpstream
from router_backend.core.jsonio import dump
from router_backend.core.large import off_loop
from router_backend.forwarding.failure import unreadable, unusable
from router_backend.forwarding.upstreams.bedrock.failures import credentials_refused, failure_of, fields_of
from router_backend.forwarding.upstreams.bedrock.refusal import refusal
from router_backend.forwarding.upstreams.bedrock.reply import BedrockReply
from router_backend.forwarding.upstreams.bedrock.request import converse_body
from router_backend.forwarding.upstreams.bedrock.signing import Signer
from router_backend.forwarding.upstreams.clients import Clients
from router_backend.forwarding.upstreams.http import MAX_BODY_BYTES, Ended, HTTPReply, HTTPResponse, NotConnected
from router_backend.forwarding.upstreams.http import failure_of as from_http
from router_backend.forwarding.upstreams.openai import retry_after_of
from router_backend.forwarding.upstreams.upstream import Call

_EVENT_STREAM = "application/vnd.amazon.eventstream"


class BedrockServer:
    """See `Upstream`. Connections are the engine's own: botocore's would block a thread for each answer."""

    def __init__(
        self,
        arm: str,
        clients: Clients,
        upstream: BedrockUpstream,
        connect: float = 2.0,
    ) -> None:
        """Raises ValueError: botocore is missing, there is no such profile, or no region."""
        self._arm, self._upstream, self._connect = arm, upstream, connect
        self._signer = Signer(arm, upstream.region, upstream.profile, upstream.role_arn, upstream.external_id)
        endpoint = (
            upstream.endpoint_url or f"https://bedrock-runtime.{self._signer.region}.{_domain(self._signer.region)}"
        )
        self._url = f"{endpoint.rstrip('/')}/model/{quote(upstream.model, safe='')}"
        self._client = clients.library(endpoint)

    async def start(self, call: Call) -> BedrockReply:
        """See `Upstream.start`."""
        if call.endpoint != "chat/completions":
            raise refusal("model", f"{self._arm} (Bedrock) answers chat completions alone", fallback=True)
        try:
            data = await off_loop(call.size, lambda: dump(converse_body(self._arm, self._upstream, call.body)))
        except (RecursionError, ValueError) as error:
            raise unreadable(f"the request can't be written as JSON: {error}") from error
        url = f"{self._url}/{'converse-stream' if call.streamed else 'converse'}"
        accept = _EVENT_STREAM if call.streamed else "application/json"
        headers = await self._signer.signed(url, data, {"content-type": "application/json", "accept": accept})
        headers |= {"accept-encoding": "identity", **call.trace}  # not signed: proxies may change them
        try:
            response = await self._client.post(URL(url, encoded=True), data, headers)
        except (NotConnected, Ended) as error:
            raise from_http(error, self._arm, self._connect) from error
        reply = HTTPReply(self._arm, response)
        try:
            await self._check(response, reply, call.streamed)
        except BaseException:
            reply.cancel()
            raise
        return BedrockReply(self._arm, reply)

    async def _check(self, response: HTTPResponse, reply: HTTPReply, streamed: bool) -> None:
        status = response.status
        if status != 200:
            fields = fields_of(await reply.body(MAX_BODY_BYTES))
            reply.finish()
            name = response.header("x-amzn-errortype") or str(fields.get("__type") or "")
            if credentials_refused(name, status):
                raise self._signer.refused(f"{name.partition(':')[0] or status}: {fields.get('message')}")
            raise failure_of(self._arm, name, fields, status, retry_after_of(response.header("retry-after")))
        if streamed and response.content_type != _EVENT_STREAM:
            raise unusable(self._arm, f"{response.content_type} instead of {_EVENT_STREAM}")

    async def aclose(self) -> None:
        """Connections are the engine's."""
        self._signer.close()


def _domain(region: str) -> str:
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
