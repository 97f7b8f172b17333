"""Work on large bodies, done where it holds up nobody else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

Body = bytes | bytearray
"""As it came; a large one grew piece by piece."""

SMALL = 64 * 1024
"""Bytes up to which a body costs too little to be counted or to leave the loop for."""

worker = ThreadPoolExecutor(1, thread_name_prefix="large-bodies")
"""One thread: what it takes from the loop (the interpreter's lock) doesn't grow with the number of large bodies."""

_LONGEST_REST = 0.05  # seconds
_rest_until = 0.0  # the worker's


async def off_loop(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Result of work on a body of `size` bytes; of a large one, another thread's."""
    if size <= SMALL:
        return work(*args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(worker, lambda: _in_turn(lambda: work(*args, **kwargs)))


def _in_turn(work: Callable[[], T]) -> T:
    """Between two pieces of work the thread rests as long as the last one took.

    Most of the work is single calls that keep the interpreter's lock to their end: without a rest a small request, which
    needs the lock several times, would wait for one such call each time.
    """
    global _rest_until
    time.sleep(max(0.0, _rest_until - time.monotonic()))
    began = time.monotonic()
    try:
        return work()
    finally:
        ended = time.monotonic()
        _rest_until = ended + min(ended - began, _LONGEST_REST)
