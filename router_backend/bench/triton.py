"""Triton alone, by its own client (tritonclient, gRPC): each model of the ensemble and the ensembles themselves."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import numpy as np
import tritonclient.grpc.aio as grpcclient

from router_backend.bench.load import Load
from router_backend.bench.measure import Latency, Plan, latency
from router_backend.bench.prompts import texts
from router_backend.bench.upstream import CHUNKS

Inputs = list[Any]
_TOKENS = 64
_VOCABULARY = (1000, 20_000)  # token ids that are words
_STREAM_CLIENTS = 16


def _tensor(name: str, value: np.ndarray[Any, Any], kind: str) -> Any:
    tensor = grpcclient.InferInput(name, list(value.shape), kind)
    tensor.set_data_from_numpy(value)
    return tensor


def _text(prompt: str) -> Inputs:
    return [_tensor("text_input", np.array([[prompt.encode()]], object), "BYTES")]


def _tokens(draw: np.random.Generator) -> Inputs:
    ids = draw.integers(*_VOCABULARY, (1, _TOKENS), dtype=np.int64)
    return [_tensor("input_ids", ids, "INT64"), _tensor("attention_mask", np.ones_like(ids), "INT64")]


async def _router_inputs(client: Any) -> Inputs:
    """What the tokenizer and the classifier say about one prompt."""
    hints = await client.infer("tokenizer", _text(next(texts(_TOKENS, 5))))
    ids, mask = hints.as_numpy("input_ids"), hints.as_numpy("attention_mask")
    found = await client.infer(
        "classifier", [_tensor("input_ids", ids, "INT64"), _tensor("attention_mask", mask, "INT64")]
    )
    kinds = {"task_probabilities": "FP32", "complexity": "FP32", "embedding": "FP32", "embedding_space": "INT64"}
    inputs = [_tensor(name, found.as_numpy(name), kind) for name, kind in kinds.items()]
    return [*inputs, _tensor("hints", hints.as_numpy("hints"), "BYTES")]


async def measure_triton(url: str, plan: Plan) -> dict[str, dict[int, Latency | float]]:
    """By model: latency at 1 and 16 clients; of `llm_router`, streamed chunks a second at 16."""
    async with grpcclient.InferenceServerClient(url) as client:
        draw = np.random.default_rng(3)
        fixed, prompts = await _router_inputs(client), texts(_TOKENS, 6)
        same = _text(next(prompts))
        cases: dict[str, tuple[str, Callable[[], Inputs]]] = {
            "classifier": ("classifier", lambda: _tokens(draw)),
            "router": ("router", lambda: fixed),
            "route, unseen": ("route", lambda: _text(next(prompts))),
            "route, repeated": ("route", lambda: same),
        }
        found: dict[str, dict[int, Latency | float]] = {}
        for name, (model, inputs) in cases.items():
            await _closed(client, model, inputs, 1, plan.warmup)
            found[name] = {
                clients: latency(await _closed(client, model, inputs, clients, plan.triton)) for clients in (1, 16)
            }
        found["llm_router, chunks a second"] = {_STREAM_CLIENTS: await _streams(url, prompts, plan.triton)}
        return found


async def _closed(client: Any, model: str, inputs: Callable[[], Inputs], clients: int, seconds: float) -> Load:
    load, until = Load(), time.perf_counter() + seconds

    async def one() -> None:
        while time.perf_counter() < until:
            tensors, started = inputs(), time.perf_counter()
            await client.infer(model, tensors)
            load.totals.append(time.perf_counter() - started)

    started = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(clients)))
    load.seconds = time.perf_counter() - started
    return load


async def _streams(url: str, prompts: Iterator[str], seconds: float) -> float:
    """Chunks a second of the upstream's answers through `llm_router`, each client one stream after the other.

    Chunks that are ready together leave in one Triton response, so whole answers are counted.
    """
    until, answers = time.perf_counter() + seconds, itertools.count()
    started = time.perf_counter()

    async def one() -> None:
        async with grpcclient.InferenceServerClient(url) as client:
            while time.perf_counter() < until:
                inputs = [*_text(next(prompts)), _tensor("stream", np.array([[True]]), "BOOL")]

                async def ask(inputs: Inputs = inputs) -> AsyncIterator[dict[str, Any]]:
                    yield {"model_name": "llm_router", "inputs": inputs, "enable_empty_final_response": True}

                async for result, error in client.stream_infer(ask()):
                    if error is not None:
                        raise RuntimeError(f"llm_router: {error}")
                    if result.get_response().parameters["triton_final_response"].bool_param:
                        break
                next(answers)

    await asyncio.gather(*(one() for _ in range(_STREAM_CLIENTS)))
    return next(answers) * CHUNKS / (time.perf_counter() - started)
