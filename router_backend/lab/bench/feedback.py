"""Feedback as clients give it: single calls of Triton's `feedback` model over gRPC, each acknowledged when it is durable."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import tritonclient.grpc.aio as grpcclient

from router_backend.core import seal
from router_backend.core.records import Outcome, Usage
from router_backend.lab.bench.load import Load
from router_backend.lab.bench.measure import Latency, latency
from router_backend.lab.bench.prompts import texts
from router_backend.lab.bench.triton_models import infer, text
from router_backend.state.codec import encode_records

CLIENTS = (4, 64)
_ASKERS = 16
_PAGE = 500  # outcomes of one report


def share_seal() -> None:
    """Give the systems that the bench starts the key with which it seals what it reports."""
    os.environ.setdefault(seal.KEY, secrets.token_urlsafe())


async def measure_feedback(url: str, number: int) -> dict[int, Latency]:
    """`number` scores of decisions that have their outcomes, by clients."""
    found = {}
    async with grpcclient.InferenceServerClient(url) as client:
        for clients in CLIENTS:
            decisions = await _decide(client, number)
            await _report(client, decisions)
            found[clients] = latency(await _give(client, decisions, clients))
    return found


async def _decide(client: Any, number: int) -> list[tuple[str, str]]:
    """(decision id, model) of so many decisions about one prompt."""
    prompt, left, found = text(next(texts(64, 8))), iter(range(number)), []

    async def one() -> None:
        for _ in left:
            result = await infer(client, "route", prompt)
            found.append((_string(result, "decision_id"), _string(result, "model")))

    await asyncio.gather(*(one() for _ in range(_ASKERS)))
    return found


def _string(result: Any, name: str) -> str:
    return str(result.as_numpy(name).reshape(-1)[0].decode())


async def _report(client: Any, decisions: list[tuple[str, str]]) -> None:
    for start in range(0, len(decisions), _PAGE):
        outcomes = [
            Outcome(
                decision_id=decision,
                completed=time.time(),
                served=model,
                status=200,
                usage=Usage(prompt=64, completion=100),
                usage_known=True,
                cost=1e-4,
            )
            for decision, model in decisions[start : start + _PAGE]
        ]
        records = encode_records(outcomes=outcomes)
        sealed = {seal.SEAL: seal.seal(os.environ[seal.KEY], records)}
        await infer(client, "feedback", {"records": np.array([[records]], object)}, sealed)


async def _give(client: Any, decisions: list[tuple[str, str]], clients: int) -> Load:
    load, left = Load(), iter(decisions)
    started = time.perf_counter()
    await asyncio.gather(*(_giver(client, left, load) for _ in range(clients)))
    load.seconds = time.perf_counter() - started
    return load


async def _giver(client: Any, left: Iterator[tuple[str, str]], load: Load) -> None:
    for decision, _ in left:
        tensors = {
            "decision_id": np.array([[decision.encode()]], object),
            "score": np.array([[0.75]], np.float32),
        }
        sent = time.perf_counter()
        await infer(client, "feedback", tensors)
        load.totals.append(time.perf_counter() - sent)
