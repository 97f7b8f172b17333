"""Triton's gRPC, sync and async, on tritonclient's stubs.

The stubs instead of tritonclient's InferenceServerClient: its sync one has a single stream for all calls. Streams ask
`llm_router_bls`; cancelling the call reaches that model, which cancels the call of the language model.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any

import grpc
import grpc.aio
from tritonclient.grpc import service_pb2, service_pb2_grpc

from llm_router_client import triton
from llm_router_client.errors import RequestTimeoutError, RouterError, StreamError, from_triton
from llm_router_client.reading import Opened
from llm_router_client.requests import ChatRequest, Score
from llm_router_client.results import Completion, Decision, Reward
from llm_router_client.tensors import CHANNEL_OPTIONS, infer_request, is_final, outputs_of, translated
from llm_router_client.transport import Server


class GrpcTransport:
    """One channel; may be shared by threads."""

    def __init__(self, server: Server, secure: bool = False) -> None:
        self._server, self._metadata = server, _metadata(server)
        self._channel = (
            grpc.secure_channel(server.url, grpc.ssl_channel_credentials(), CHANNEL_OPTIONS)
            if secure
            else grpc.insecure_channel(server.url, CHANNEL_OPTIONS)
        )
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def route(self, request: ChatRequest) -> Decision:
        return triton.decision_of(self._infer(triton.ROUTE, triton.inputs_of(request)))

    def feedback(self, score: Score) -> Reward:
        outputs = self._infer(triton.FEEDBACK, triton.feedback_inputs(score))
        return Reward.of(score.decision_id, score.score, outputs)

    def lookup(self, decision_id: str) -> Decision:
        raise triton.no_lookup()

    def chat(self, request: ChatRequest) -> Completion:
        (outputs,) = self._responses(request)
        return triton.completion_of(outputs)

    def stream(self, request: ChatRequest) -> Generator[Opened, None, None]:
        for outputs in self._responses(request):
            yield triton.served(outputs), triton.chunks_of(outputs)

    def close(self) -> None:
        self._channel.close()

    def _infer(self, model: str, inputs: dict[str, Any]) -> dict[str, Any]:
        try:
            response = self._stub.ModelInfer(
                infer_request(model, inputs), timeout=self._server.timeout, metadata=self._metadata
            )
        except grpc.RpcError as error:
            raise translated(error, self._server) from error
        return outputs_of(response)

    def _responses(self, request: ChatRequest) -> Generator[dict[str, Any], None, None]:
        """Outputs of each response of `llm_router_bls`; closing it cancels the call."""
        call = self._stub.ModelStreamInfer(
            iter([_streaming(request)]), timeout=self._server.timeout, metadata=self._metadata
        )
        begun = False
        try:
            for message in call:
                outputs, final = _outputs(message, begun)
                if outputs:
                    begun = True
                    yield outputs
                if final:
                    return
            raise _incomplete()
        except grpc.RpcError as error:
            raise _broken(translated(error, self._server), begun) from error
        finally:
            call.cancel()


class AsyncGrpcTransport:
    """As `GrpcTransport`, for one event loop."""

    def __init__(self, server: Server, secure: bool = False) -> None:
        self._server, self._metadata = server, _metadata(server)
        self._channel = (
            grpc.aio.secure_channel(server.url, grpc.ssl_channel_credentials(), CHANNEL_OPTIONS)
            if secure
            else grpc.aio.insecure_channel(server.url, CHANNEL_OPTIONS)
        )
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    async def route(self, request: ChatRequest) -> Decision:
        return triton.decision_of(await self._infer(triton.ROUTE, triton.inputs_of(request)))

    async def feedback(self, score: Score) -> Reward:
        outputs = await self._infer(triton.FEEDBACK, triton.feedback_inputs(score))
        return Reward.of(score.decision_id, score.score, outputs)

    async def lookup(self, decision_id: str) -> Decision:
        raise triton.no_lookup()

    async def chat(self, request: ChatRequest) -> Completion:
        (outputs,) = [outputs async for outputs in self._responses(request)]
        return triton.completion_of(outputs)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Opened, None]:
        responses = self._responses(request)
        try:
            async for outputs in responses:
                yield triton.served(outputs), triton.chunks_of(outputs)
        finally:
            await responses.aclose()

    async def aclose(self) -> None:
        await self._channel.close()

    async def _infer(self, model: str, inputs: dict[str, Any]) -> dict[str, Any]:
        try:
            response = await self._stub.ModelInfer(
                infer_request(model, inputs), timeout=self._server.timeout, metadata=self._metadata
            )
        except grpc.RpcError as error:
            raise translated(error, self._server) from error
        return outputs_of(response)

    async def _responses(self, request: ChatRequest) -> AsyncGenerator[dict[str, Any], None]:
        call = self._stub.ModelStreamInfer(
            iter([_streaming(request)]), timeout=self._server.timeout, metadata=self._metadata
        )
        begun = False
        try:
            async for message in call:
                outputs, final = _outputs(message, begun)
                if outputs:
                    begun = True
                    yield outputs
                if final:
                    return
            raise _incomplete()
        except grpc.RpcError as error:
            raise _broken(translated(error, self._server), begun) from error
        finally:
            call.cancel()


def _metadata(server: Server) -> tuple[tuple[str, str], ...]:
    # triton_grpc_error: a failure ends the call with its status; without it a stream only tells a message.
    return (("triton_grpc_error", "true"), *((name.lower(), value) for name, value in server.headers.items()))


def _streaming(request: ChatRequest) -> service_pb2.ModelInferRequest:
    message = infer_request(triton.ANSWER, triton.inputs_of(request))
    message.parameters["triton_enable_empty_final_response"].bool_param = True
    return message


def _outputs(message: service_pb2.ModelStreamInferResponse, begun: bool) -> tuple[dict[str, Any], bool]:
    """Outputs, which a final response may hold or not, and whether the answer is complete with them."""
    if message.error_message:
        raise _broken(from_triton(500, message.error_message), begun)
    response = message.infer_response
    outputs, final = outputs_of(response), is_final(response)
    if final and not (outputs or begun):
        raise _incomplete()
    return outputs, final


def _broken(error: RouterError, begun: bool) -> RouterError:
    """After the first byte nothing is tried again."""
    if not begun or isinstance(error, RequestTimeoutError):
        return error
    return StreamError(error.message, status=error.status, code=error.code)


def _incomplete() -> StreamError:
    return StreamError("Triton ended the answer before it was complete")
