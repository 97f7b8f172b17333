"""One answer of a TensorRT-LLM model, as OpenAI chunks or as OpenAI's whole body."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import grpc
import orjson

from router_backend.core.errors import CONNECT, CONTEXT_LENGTH, NO_MODEL, UPSTREAM_ERROR, OpenAIError
from router_backend.forwarding.failure import Failure, cut, from_status, unusable
from router_backend.forwarding.request import Endpoint
from router_backend.forwarding.stream.sse import DONE
from router_backend.forwarding.upstreams.tensorrtllm.dialect import FINAL, Dialect
from router_backend.forwarding.upstreams.tensorrtllm.stops import StopFilter
from router_backend.forwarding.upstreams.tensorrtllm.tensors import outputs


class TritonReply:
    """See `Reply`. Reads one gRPC stream of its own, so that cancelling it cancels the generation in the server."""

    def __init__(
        self,
        *,
        arm: str,
        call: grpc.aio.StreamStreamCall,
        dialect: Dialect,
        endpoint: Endpoint,
        stops: tuple[str, ...],
        max_tokens: int,
        prompt_tokens: int,
        count: Callable[[str], int],
    ) -> None:
        self._arm, self._call, self._dialect = arm, call, dialect
        self._stops, self._max_tokens, self._count = StopFilter(stops), max_tokens, count
        self._prompt_tokens, self._completion_tokens = prompt_tokens, 0
        self._counted = False  # whether the server counts the answer's tokens
        self._generated: list[str] = []  # with what the stop filter takes out
        self._seen = 0  # characters of a text that is repeated so far
        self._reason = ""
        self._chat = endpoint == "chat/completions"
        self._id = f"{'chatcmpl' if self._chat else 'cmpl'}-{uuid4().hex}"
        self._created = int(time.time())
        self._begun = self._over = False
        self._served = ""  # model and version, as the server names them

    async def body(self) -> bytes:
        """See `Reply.body`."""
        texts, over = [], False
        while not over:
            text, over = await self._next()
            texts.append(text)
        text = "".join(texts)
        choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": self._finish_reason()}
        if self._chat:
            choice["message"] = {"role": "assistant", "content": text, "refusal": None}
        else:
            choice["text"] = text
        kind = "chat.completion" if self._chat else "text_completion"
        return orjson.dumps({**self._head(kind), "choices": [choice], "usage": self._usage()})

    async def events(self) -> list[bytes]:
        """See `Reply.events`."""
        chunks: list[bytes] = []
        while not chunks and not self._over:
            text, self._over = await self._next()
            if not self._begun:
                self._begun = True
                if self._chat:
                    chunks.append(self._chunk({"role": "assistant", "content": ""}))
            if text:
                chunks.append(self._chunk({"content": text} if self._chat else text))
            if self._over:
                chunks.append(self._chunk({} if self._chat else "", self._finish_reason()))
                usage = {**self._head(self._chunk_kind), "choices": [], "usage": self._usage()}
                chunks += [orjson.dumps(usage), DONE]
        return chunks

    async def _next(self) -> tuple[str, bool]:
        """New text for the client, which may be empty, and whether it is the last."""
        try:
            response = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise rpc_failure(self._arm, error) from error
        if response is grpc.aio.EOF:
            raise cut(self._arm)
        if response.error_message:
            raise server_failure(self._arm, response.error_message)
        answer = response.infer_response
        if answer.model_name and answer.model_version:
            self._served = f"{answer.model_name}/{answer.model_version}"
        text = self._stops.feed(self._read(outputs(answer)))
        if self._stops.stopped:
            self._reason = "stop"
            self.cancel()  # the server may not know the stop sequence, and generate on
            return text, True
        if FINAL in answer.parameters and answer.parameters[FINAL].bool_param:
            return text + self._stops.flush(), True
        return text, False

    def _read(self, values: dict[str, Any]) -> str:
        """Take one response's outputs in; returns the generated text that is new."""
        text = str(values.get("text_output", ""))
        if self._dialect.cumulative and text:
            self._stops.retract(self._seen - len(text))  # the server took a stop sequence back
            text, self._seen = text[self._seen :], max(self._seen, len(text))
        self._generated.append(text)
        self._prompt_tokens = values.get("num_input_tokens") or self._prompt_tokens
        if values.get("num_output_tokens"):
            # ensemble counts the tokens of each response; a model that repeats its text counts them all
            counted = int(values["num_output_tokens"])
            self._completion_tokens = counted if self._dialect.cumulative else self._completion_tokens + counted
            self._counted = True
        reason = values.get("finish_reason")
        if reason in ("cancelled", "timeout"):
            raise unusable(self._arm, f"the server ended the answer: {reason}")
        if reason in ("stop", "length"):
            self._reason = reason
        return text

    def _finish_reason(self) -> str:
        """The server's, or from the count: an answer that used up its tokens was cut off."""
        return self._reason or ("length" if self._tokens() >= self._max_tokens else "stop")

    def _tokens(self) -> int:
        if not self._counted:
            self._completion_tokens, self._counted = self._count("".join(self._generated)), True
        return self._completion_tokens

    def _usage(self) -> dict[str, int]:
        completion = self._tokens()
        return {
            "prompt_tokens": self._prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self._prompt_tokens + completion,
        }

    @property
    def _chunk_kind(self) -> str:
        return "chat.completion.chunk" if self._chat else "text_completion"

    def _head(self, kind: str) -> dict[str, Any]:
        head = {"id": self._id, "object": kind, "created": self._created, "model": self._arm}
        return {**head, "system_fingerprint": self._served} if self._served else head

    def _chunk(self, content: Any, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta" if self._chat else "text": content, "logprobs": None, "finish_reason": finish}
        return orjson.dumps({**self._head(self._chunk_kind), "choices": [choice]})

    def finish(self) -> None:
        """See `Reply.finish`. The channel is shared and stays; only this call ends."""
        self._call.cancel()

    def cancel(self) -> None:
        """See `Reply.cancel`."""
        self._call.cancel()


def server_failure(arm: str, message: str) -> Failure:
    """An error that Triton answered in place of a response; it has no status, so its text tells what it is."""
    failure = from_status(arm, 400, orjson.dumps({"error": {"message": message}}))
    if failure.cause is CONTEXT_LENGTH or "max_input_len" in message or "max_num_tokens" in message:
        return from_status(arm, 400, orjson.dumps({"error": {"message": message, "code": "context_length_exceeded"}}))
    return Failure(UPSTREAM_ERROR, OpenAIError(f"{arm}: {message}"))


def rpc_failure(arm: str, error: grpc.aio.AioRpcError) -> Failure:
    """A gRPC status as the HTTP status that means the same."""
    code, details = error.code(), error.details() or ""
    if code is grpc.StatusCode.UNAVAILABLE:
        return Failure(CONNECT, OpenAIError(f"{arm} can't be reached: {details}"))
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return from_status(arm, 429, orjson.dumps({"error": {"message": f"{arm}: {details}"}}))
    if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
        return from_status(arm, 401, b"")
    if code is grpc.StatusCode.NOT_FOUND:
        message = f"{arm}: {details}; check upstream.model and the server's repository"
        return Failure(NO_MODEL, OpenAIError(message))
    return Failure(UPSTREAM_ERROR, OpenAIError(f"{arm}: {code.name}: {details}"))
