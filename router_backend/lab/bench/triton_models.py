"""Triton alone, by its own client (tritonclient, gRPC): each model of the ensemble and the ensembles themselves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tritonclient.grpc.aio as grpcclient
from tritonclient.utils import np_to_triton_dtype

from router_backend.lab.bench.load import Load
from router_backend.lab.bench.measure import Latency, Plan, latency
from router_backend.lab.bench.prompts import texts
from router_backend.lab.bench.upstream import CHUNKS

Tensors = dict[str, np.ndarray[Any, Any]]  # by name, each [1, …]: a batch of one
ByClients = dict[int, Latency]
STREAMS = "llm_router, streams"
CLIENTS = (1, 16)
_TOKENS = 64
_VOCABULARY = (1000, 20_000)  # token ids that are words


@dataclass(frozen=True, slots=True)
class Case:
    """One model, and what it is asked next."""

    model: str
    inputs: Callable[[], Tensors]
    distinct: bool = True  # each request is another one

    @property
    def streams(self) -> bool:
        return self.model == "llm_router"


def text(prompt: str) -> Tensors:
    return {"text_input": np.array([[prompt.encode()]], object)}


def token_ids(draw: np.random.Generator, tokens: int = _TOKENS) -> Tensors:
    ids = draw.integers(*_VOCABULARY, (1, tokens), dtype=np.int64)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


async def infer(client: Any, model: str, tensors: Tensors, parameters: Mapping[str, str | bool] | None = None) -> Any:
    return await client.infer(model, _inputs(tensors), parameters=parameters)


async def cases(url: str, seed: int) -> dict[str, Case]:
    """What Triton is asked. Another seed gives other prompts, so that what one tool has asked is unseen for the next."""
    async with grpcclient.InferenceServerClient(url) as client:
        router = await _router_inputs(client)
    prompts, draw = texts(_TOKENS, seed), np.random.default_rng(seed)
    same = text(next(prompts))
    return {
        "classifier": Case("classifier", lambda: token_ids(draw)),
        "router": Case("router", lambda: router, distinct=False),
        "route, unseen": Case("route", lambda: text(next(prompts))),
        "route, repeated": Case("route", lambda: same, distinct=False),
        STREAMS: Case("llm_router", lambda: {**text(next(prompts)), "stream": np.array([[True]])}),
    }


async def measure_triton(url: str, plan: Plan) -> dict[str, ByClients]:
    """By case and clients; of `llm_router`, whole streamed answers of `CHUNKS` chunks."""
    found: dict[str, ByClients] = {}
    for name, case in (await cases(url, 6)).items():
        ask = _streams if case.streams else _closed
        await ask(url, case, 1, plan.warmup)
        found[name] = {clients: latency(await ask(url, case, clients, plan.triton)) for clients in CLIENTS}
    return found


async def cache_counts(url: str) -> tuple[int, int]:
    """Requests that the classifier's cache knew the answer of, and those that it didn't."""
    async with grpcclient.InferenceServerClient(url) as client:
        statistics = await client.get_inference_statistics("classifier")
    found = statistics.model_stats[0].inference_stats
    return found.cache_hit.count, found.cache_miss.count


def chunks_per_second(answers: Latency) -> float:
    """Chunks that are ready together leave in one Triton response, so whole answers are counted."""
    return answers.rate * CHUNKS


def _inputs(tensors: Tensors) -> list[Any]:
    found = []
    for name, value in tensors.items():
        tensor = grpcclient.InferInput(name, list(value.shape), np_to_triton_dtype(value.dtype))
        tensor.set_data_from_numpy(value)
        found.append(tensor)
    return found


async def _router_inputs(client: Any) -> Tensors:
    """What the tokenizer and the classifier say about one prompt."""
    hints = await infer(client, "tokenizer", text(next(texts(_TOKENS, 5))))
    found = await infer(client, "classifier", {name: hints.as_numpy(name) for name in ("input_ids", "attention_mask")})
    names = ("task_probabilities", "complexity", "embedding", "embedding_space")
    return {**{name: found.as_numpy(name) for name in names}, "hints": hints.as_numpy("hints")}


async def _closed(url: str, case: Case, clients: int, seconds: float) -> Load:
    load = Load()
    async with grpcclient.InferenceServerClient(url) as client:
        started = time.perf_counter()

        async def one() -> None:
            while time.perf_counter() < started + seconds:
                tensors, sent = _inputs(case.inputs()), time.perf_counter()
                await client.infer(case.model, tensors)
                load.totals.append(time.perf_counter() - sent)

        await asyncio.gather(*(one() for _ in range(clients)))
        load.seconds = time.perf_counter() - started
    return load


async def _streams(url: str, case: Case, clients: int, seconds: float) -> Load:
    """Each client one stream after the other, on a connection of its own."""
    load, started = Load(), time.perf_counter()

    async def one() -> None:
        async with grpcclient.InferenceServerClient(url) as client:
            while time.perf_counter() < started + seconds:
                sent = time.perf_counter()
                await _stream(client, case)
                load.totals.append(time.perf_counter() - sent)

    await asyncio.gather(*(one() for _ in range(clients)))
    load.seconds = time.perf_counter() - started
    return load


async def _stream(client: Any, case: Case) -> None:
    inputs = _inputs(case.inputs())

    async def ask() -> AsyncIterator[dict[str, Any]]:
        yield {"model_name": case.model, "inputs": inputs, "enable_empty_final_response": True}

    async for result, error in client.stream_infer(ask()):
        if error is not None:
            raise RuntimeError(f"{case.model}: {error}")
        if result.get_response().parameters["triton_final_response"].bool_param:
            return
