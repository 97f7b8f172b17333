"""The classifier's cache in a running system."""

from __future__ import annotations

import asyncio

import numpy as np
import tritonclient.grpc.aio as grpcclient

from router_backend.lab.bench.triton_models import Tensors, cache_counts, infer
from tests.support.running import RunningSystem

_ANSWERS = 2000  # a megabyte holds about 1,250, the default sixteen times as many


async def test_the_cache_forgets_beyond_the_bytes_that_router_yaml_gives_it(system: RunningSystem) -> None:
    numbers = iter(range(_ANSWERS))

    async def ask(client: grpcclient.InferenceServerClient) -> None:
        for number in numbers:
            await infer(client, "classifier", _prompt(number))

    async with grpcclient.InferenceServerClient(system.grpc) as client:
        await asyncio.gather(*(ask(client) for _ in range(16)))
        _, before = await cache_counts(system.grpc)
        await infer(client, "classifier", _prompt(_ANSWERS - 1))
        assert (await cache_counts(system.grpc))[1] == before  # the newest is known
        await infer(client, "classifier", _prompt(0))
        assert (await cache_counts(system.grpc))[1] == before + 1  # the oldest is forgotten


def _prompt(number: int) -> Tensors:
    """Eight tokens, the shortest bucket: the number between special tokens."""
    ids = np.array([[0, 1000 + number, 5, 6, 7, 8, 9, 2]], np.int64)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}
