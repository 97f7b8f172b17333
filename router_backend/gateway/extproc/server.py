"""The gRPC server of envoy.service.ext_proc.v3.ExternalProcessor."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import grpc

from router_backend.config.security import Tls
from router_backend.gateway.extproc.messages import ProcessingRequest, ProcessingResponse
from router_backend.gateway.extproc.passage import Parts, Passage

_SERVICE = "envoy.service.ext_proc.v3.ExternalProcessor"
_MARGIN = 1024 * 1024  # of a message beside the body
_log = logging.getLogger("llm_router.gateway")


class ExternalProcessor:
    """One port on the gateway's event loop."""

    def __init__(self, parts: Parts, host: str, port: int, max_body_bytes: int, tls: Tls | None) -> None:
        """Raises OSError when a file of `tls` can't be read."""
        self._parts, self._address = parts, f"{host}:{port}"
        self._options = [
            ("grpc.max_receive_message_length", max_body_bytes + _MARGIN),
            ("grpc.max_send_message_length", 2 * max_body_bytes + _MARGIN),
        ]
        self._credentials: grpc.ServerCredentials | None = None
        if tls:
            pair = (Path(tls.key).read_bytes(), Path(tls.certificate).read_bytes())
            self._credentials = grpc.ssl_server_credentials([pair])
        self._server: grpc.aio.Server | None = None
        self.port = 0  # that it listens on, once it does

    async def start(self) -> None:
        """Listen, on the running loop. Raises RuntimeError when the port is taken."""
        self._server = grpc.aio.server(options=self._options)
        handler: Any = grpc.stream_stream_rpc_method_handler(
            self._process,
            request_deserializer=ProcessingRequest.FromString,
            response_serializer=ProcessingResponse.SerializeToString,
        )
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, {"Process": handler}),))
        if self._credentials:
            self.port = self._server.add_secure_port(self._address, self._credentials)
        else:
            self.port = self._server.add_insecure_port(self._address)
        await self._server.start()

    async def aclose(self, seconds: float) -> None:
        """No new streams; those that run may go on for `seconds`."""
        if self._server:
            await self._server.stop(seconds)

    async def _process(
        self, messages: AsyncIterator[ProcessingRequest], context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[ProcessingResponse]:
        try:
            async with aclosing(Passage(self._parts).process(messages)) as answers:
                async for reply in answers:
                    yield reply
        except (
            Exception
        ) as error:  # Envoy lets the request pass (failure_mode_allow), or fails it: its configuration says
            _log.error("the external processor failed with %s", type(error).__name__)
            await context.abort(grpc.StatusCode.INTERNAL, "the router failed; see its log")
