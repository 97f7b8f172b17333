"""A TensorRT-LLM server that takes a call and says nothing costs one attempt's time, as every other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from router_backend.forwarding.engine import build_engine
from tests.forwarding.upstreams.tensorrtllm.test_tokenizer import folder
from tests.support.arms import model, router_config
from tests.support.asking import answer_text, ask, labels, payloads, text_of
from tests.support.scripted_upstream import ScriptedUpstream


class _Silent(grpc.GenericRpcHandler):  # type: ignore[misc]  # untyped stubs
    """Every method, the model's metadata as well, is taken and never answered."""

    def service(self, details: Any) -> Any:
        async def hang(requests: Any, context: Any) -> AsyncIterator[bytes]:
            await asyncio.Event().wait()
            yield b""

        return grpc.stream_stream_rpc_method_handler(hang)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_silent_server_leaves_time_for_another_arm(tmp_path: Path, stream: bool) -> None:
    server = grpc.aio.server(handlers=[_Silent()])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    upstream = {
        "kind": "tensorrtllm",
        "url": f"127.0.0.1:{port}",
        "model": "ensemble",
        "tokenizer": str(folder(tmp_path)),
    }
    hung = {"name": "a", "upstream": upstream, "price": {"input": 1, "output": 2}, "context_window": 512}
    async with ScriptedUpstream() as second:
        config = router_config([hung, model("b", second.base_url)], timeouts={"first_token": 2, "total": 6})
        engine = build_engine(config)
        answer = await engine.forward(ask("a", "b", stream=stream))
        text = text_of(await payloads(answer)) if stream else await answer_text(answer)
        await engine.aclose()
    await server.stop(0)
    assert text == "Hello, world"
    (failed,) = labels(answer.progress.fallbacks)
    assert failed.startswith("a:timeout_")
