"""One arm's Triton server with a TensorRT-LLM model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from router_backend.config.models import TensorRTLLMUpstream
from router_backend.core.channels import CHANNEL_OPTIONS
from router_backend.core.errors import CONNECT, CONTEXT_LENGTH, NO_MODEL, OpenAIError
from router_backend.forwarding.failure import Failure, timed_out
from router_backend.forwarding.upstreams.proxies import proxy_for
from router_backend.forwarding.upstreams.tensorrtllm.conversation import prompt_of
from router_backend.forwarding.upstreams.tensorrtllm.dialect import Dialect
from router_backend.forwarding.upstreams.tensorrtllm.reply import TritonReply, rpc_failure
from router_backend.forwarding.upstreams.tensorrtllm.sampling import read_sampling, refusal
from router_backend.forwarding.upstreams.tensorrtllm.tokenizer import ChatTokenizer, find_tokenizer
from router_backend.forwarding.upstreams.upstream import Call

_LONG_TEXT = 16 * 1024
"""Characters beyond which tokens are counted in a thread: the event loop serves others meanwhile."""
_CHANNEL = (*CHANNEL_OPTIONS, ("grpc.keepalive_time_ms", 20_000))


def channel_options(url: str, tls: bool) -> tuple[tuple[str, int | str], ...]:
    """Of a channel to `url` (host:port), through the environment's proxy where upstreams by HTTP would take it, too.

    gRPC's own reading of the environment knows one proxy for all, and no exception for this machine.
    """
    proxy = proxy_for(f"{'https' if tls else 'http'}://{url}")
    return (*_CHANNEL, ("grpc.http_proxy", proxy) if proxy else ("grpc.enable_http_proxy", 0))


class TensorRTLLMServer:
    """See `Upstream`. Renders the chat template, asks by ModelStreamInfer; the channel is opened at the first call."""

    def __init__(self, arm: str, upstream: TensorRTLLMUpstream, context_window: int, connect: float) -> None:
        """Loads the tokenizer.

        Raises:
            ValueError: the tokenizer is missing or unusable.
        """
        self._arm, self._upstream, self._window, self._connect = arm, upstream, context_window, connect
        self._tokenizer = ChatTokenizer(find_tokenizer(upstream.tokenizer))
        self._channel: grpc.aio.Channel | None = None
        self._dialect: Dialect | None = None

    async def start(self, call: Call) -> TritonReply:
        """See `Upstream.start`."""
        if call.endpoint == "embeddings":
            raise refusal("model", f"{self._arm} (TensorRT-LLM) makes no embeddings", fallback=True)
        sampling = read_sampling(self._arm, call.body)
        prompt = prompt_of(self._arm, self._tokenizer, call.endpoint, call.body)
        if len(prompt) > _LONG_TEXT:
            prompt_tokens = await asyncio.to_thread(self._tokenizer.count, prompt)
        else:
            prompt_tokens = self._tokenizer.count(prompt)
        room = self._window - prompt_tokens
        max_tokens = sampling.max_tokens or room
        if not 1 <= max_tokens <= room:
            raise self._too_long(prompt_tokens, sampling.max_tokens)
        stub = service_pb2_grpc.GRPCInferenceServiceStub(await self._connected())
        dialect = self._dialect or await self._learn(stub)
        request = dialect.request(
            self._upstream.model, self._arm, prompt, sampling, max_tokens, call.streamed, self._tokenizer.end_id
        )
        request.id = call.request_id
        return TritonReply(
            arm=self._arm,
            # Triton takes its caller's trace from the metadata (its mode `opentelemetry`, from 24.01 on).
            call=stub.ModelStreamInfer(_once(request), metadata=tuple(call.trace.items())),
            dialect=dialect,
            endpoint=call.endpoint,
            stops=sampling.stops,
            max_tokens=max_tokens,
            prompt_tokens=prompt_tokens,
            count=lambda text: self._tokenizer.count(text, special=False),
        )

    def _too_long(self, prompt_tokens: int, max_tokens: int | None) -> Failure:
        answer = f" and {max_tokens} for the answer" if max_tokens else ""
        message = (
            f"{self._arm} holds {self._window} tokens (its context length), and the request has {prompt_tokens} in the "
            f"messages{answer}"
        )
        error = OpenAIError(message, 400, "invalid_request_error", "context_length_exceeded", "messages")
        return Failure(CONTEXT_LENGTH, error)

    async def _connected(self) -> grpc.aio.Channel:
        """The channel, when it is connected; a refused connection fails at once, a silent one after `connect` seconds."""
        if self._channel is None:
            url, options = self._upstream.url, channel_options(self._upstream.url, self._upstream.tls)
            if self._upstream.tls:
                self._channel = grpc.aio.secure_channel(url, grpc.ssl_channel_credentials(), options=options)
            else:
                self._channel = grpc.aio.insecure_channel(url, options=options)
        channel, ready = self._channel, grpc.ChannelConnectivity.READY
        state = channel.get_state(try_to_connect=True)
        if state is ready:
            return channel
        try:
            async with asyncio.timeout(self._connect):
                while state is not ready:
                    if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                        self._dialect = None  # another server may come up at the address
                        message = f"{self._arm} can't be reached at {self._upstream.url}"
                        raise Failure(CONNECT, OpenAIError(message))
                    await channel.wait_for_state_change(state)
                    state = channel.get_state(try_to_connect=True)
        except TimeoutError as error:
            raise timed_out("connect", self._connect, self._arm) from error
        return channel

    async def _learn(self, stub: service_pb2_grpc.GRPCInferenceServiceStub) -> Dialect:
        try:
            response = await stub.ModelConfig(service_pb2.ModelConfigRequest(name=self._upstream.model))
            self._dialect = Dialect.of(response.config)
        except grpc.aio.AioRpcError as error:
            raise rpc_failure(self._arm, error) from error
        except ValueError as error:
            raise Failure(NO_MODEL, OpenAIError(f"{self._arm}: {error}; check upstream.model")) from error
        return self._dialect

    async def aclose(self) -> None:
        """Closes the channel and every call on it."""
        if self._channel:
            await self._channel.close()


async def _once(request: service_pb2.ModelInferRequest) -> AsyncIterator[service_pb2.ModelInferRequest]:
    """One request, then half-close: Triton answers it and ends the stream."""
    yield request
