"""What all tests share."""

from __future__ import annotations

import ast
import gc
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.parsing import uninterrupted

# The suite's processes fill the cores. Threads of a library's own only spin while they wait for one: small trainings took five times
# their processor time. numpy and torch read this when they are imported, which is later; what runs deployed does the same.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

ast.parse = uninterrupted(ast.parse)  # type: ignore[assignment]

# How long an example takes says how busy the machine is, nothing else.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


LONGEST = [
    line for line in (Path(__file__).parent / "longest_first.txt").read_text().split("\n") if line and line[0] != "#"
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first. A process takes whole files: one that comes last has the other processes wait for it."""
    place = {name: at for at, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.nodeid.partition("::")[0], len(place)))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """What is imported stays: no garbage collection looks through it, now or later. With torch, moto and the SDKs it is more than a
    million objects, and each full collection took half a second."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
