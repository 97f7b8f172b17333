"""Gateways that take batches, and OpenAI's SDK in front of them."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest

from router_backend.gateway.batches import runner, work
from router_backend.state.open import open_store
from router_backend.state.store import Store
from tests.gateway.conftest import *  # noqa: F403
from tests.gateway.conftest import Running, Serve
from tests.gateway.test_responses import sdk
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import ScriptedUpstream

CHAT = "/v1/chat/completions"
ENDED = ("completed", "failed", "expired", "cancelled")


def line(custom_id: str, text: str = "hi", url: str = CHAT, **fields: Any) -> dict[str, Any]:
    """One of a chat batch."""
    body = {"model": "auto", "messages": [{"role": "user", "content": text}], **fields}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body}


def jsonl(lines: Sequence[Any]) -> bytes:
    return b"".join((each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n" for each in lines)


async def uploaded(client: openai.AsyncOpenAI, lines: Sequence[Any]) -> str:
    """The id of a file with these lines."""
    return (await client.files.create(file=("in.jsonl", jsonl(lines)), purpose="batch")).id


async def begun(client: openai.AsyncOpenAI, lines: Sequence[Any], **fields: Any) -> Any:
    """A batch of these lines."""
    fields = {"endpoint": CHAT, "completion_window": "24h", **fields}
    return await client.batches.create(input_file_id=await uploaded(client, lines), **fields)


async def reached(client: openai.AsyncOpenAI, batch_id: str, *states: str) -> Any:
    """The batch, once it has come to one of the states."""
    async with asyncio.timeout(120):
        while (batch := await client.batches.retrieve(batch_id)).status not in (states or ENDED):
            await asyncio.sleep(0.02)
    return batch


async def rows(client: openai.AsyncOpenAI, file_id: str | None) -> list[dict[str, Any]]:
    """What is in a file of answers; nothing if there is none."""
    if file_id is None:
        return []
    return [json.loads(text) for text in (await client.files.content(file_id)).text.splitlines()]


async def answered(client: openai.AsyncOpenAI, batch: Any) -> Counter[str]:
    """How often each line has an answer, in both files."""
    both = await rows(client, batch.output_file_id) + await rows(client, batch.error_file_id)
    return Counter(row["custom_id"] for row in both)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for company."""
    monkeypatch.setattr(work, "KEEP_SECONDS", 0.01)
    monkeypatch.setattr(work, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(runner, "EVERY_SECONDS", 0.05)


@pytest.fixture
def store(triton: ScriptedTriton, tmp_path: Path) -> Iterator[Store]:
    triton.store = open_store("sqlite:///state.db", tmp_path)
    yield triton.store
    triton.store.close()


@pytest.fixture
def batches(tmp_path: Path) -> dict[str, Any]:
    """The section of router.yaml."""
    return {"place": str(tmp_path / "batches")}


@pytest.fixture
async def gateway(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, store: Store, batches: dict[str, Any]
) -> Running:
    return await serve(upstream, triton=triton, batches=batches)


@pytest.fixture
async def client(gateway: Running) -> AsyncIterator[openai.AsyncOpenAI]:
    async with sdk(gateway) as client:
        yield client


@dataclass
class Far:
    """The upstream with a Batch API, and what is behind it."""

    gateway: Running
    upstream: ScriptedUpstream

    @property
    def arm(self) -> dict[str, Any]:
        """Settings of a model of whoever calls it."""
        upstream = {"kind": "openai", "base_url": f"{self.gateway.url}/v1", "model": "a"}
        return {"upstream": upstream, "batch": {"price_share": 0.5}}

    async def batches(self) -> list[Any]:
        async with sdk(self.gateway) as client:
            return [batch async for batch in client.batches.list()]

    def texts(self) -> Counter[str]:
        """How often each question was asked."""
        return Counter(request["messages"][-1]["content"] for request in self.upstream.requests)


@pytest.fixture
async def far(serve: Serve, upstream: ScriptedUpstream, tmp_path: Path) -> AsyncIterator[Far]:
    triton = ScriptedTriton(["a"])
    triton.store = open_store("sqlite:///far.db", tmp_path)
    await triton.start()
    gateway = await serve(upstream, triton=triton, batches={"place": str(tmp_path / "far")})
    yield Far(gateway, upstream)
    await gateway.app.batches.runner.aclose()  # type: ignore[union-attr]
    await triton.stop()
    triton.store.close()
