"""`llm_router` and `llm_router_bls` by Triton's own protocol: ModelStreamInfer on the stubs, and what the store keeps of it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

from router_backend.core.records import Outcome
from router_backend.state.open import open_store
from tests.support.running import RunningSystem


@dataclass
class Answer:
    """What came back of one request."""

    texts: list[str] = field(default_factory=list)
    chunks: list[dict[str, Any]] = field(default_factory=list)
    finish: str = ""
    served: str = ""
    decision_id: str = ""
    tokens: tuple[int, int] = (0, 0)
    error: str = ""
    ended: bool = False  # with Triton's final response

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def take(self, reply: service_pb2.ModelStreamInferResponse) -> None:
        if reply.error_message:
            self.error = reply.error_message
            return
        response = reply.infer_response
        self.ended = response.parameters["triton_final_response"].bool_param
        found = dict(zip((item.name for item in response.outputs), response.raw_output_contents, strict=True))
        if not found:
            return
        texts = {name: found[name][4:].decode() for name in ("text_output", "chunk", "finish_reason", "model")}
        self.texts.append(texts["text_output"])
        self.chunks += [json.loads(line) for line in texts["chunk"].splitlines()]
        self.finish = texts["finish_reason"] or self.finish
        self.served, self.decision_id = texts["model"], found["decision_id"][4:].decode()
        counts = [np.frombuffer(found[name], np.int32)[0] for name in ("num_input_tokens", "num_output_tokens")]
        self.tokens = (int(counts[0]), int(counts[1]))


@dataclass
class Triton:
    """`llm_router_bls` in front of two scripted models: `a`, which the policy takes, and `b`."""

    running: RunningSystem
    stub: service_pb2_grpc.GRPCInferenceServiceStub

    def call(
        self,
        *,
        served: str = "llm_router_bls",
        models: tuple[str, ...] = ("a", "b"),
        stream: bool = True,
        metadata: Any = None,
        **body: Any,
    ) -> Any:
        """The request under way; iterate over it, or cancel it."""
        fields = {"model": "auto", "messages": [{"role": "user", "content": "hi"}], "stream": stream, **body}
        request = service_pb2.ModelInferRequest(model_name=served)
        request.parameters["triton_enable_empty_final_response"].bool_param = True
        for name, value in (("request", fields), ("candidates", list(models))):
            data = json.dumps(value, ensure_ascii=False).encode()
            request.inputs.add(name=name, datatype="BYTES", shape=[1, 1])
            request.raw_input_contents.append(len(data).to_bytes(4, "little") + data)
        return self.stub.ModelStreamInfer(iter([request]), metadata=metadata)

    async def ask(self, **fields: Any) -> Answer:
        answer = Answer()
        async with asyncio.timeout(30):
            async for reply in self.call(**fields):
                answer.take(reply)
        return answer

    def statuses(self) -> Counter[int]:
        """How often each status is in the store."""
        store = open_store("sqlite:///state.db", self.running.state_dir)
        try:
            return Counter(kept.status for kept in store.archive().records() if isinstance(kept, Outcome))
        finally:
            store.close()

    async def outcome(self, decision_id: str) -> Outcome:
        """Once it is stored."""
        store = open_store("sqlite:///state.db", self.running.state_dir)
        try:
            async with asyncio.timeout(10):
                while (found := store.outcome(decision_id)) is None:
                    await asyncio.sleep(0.02)
            return found
        finally:
            store.close()
