"""The process's memory: what nobody uses any more goes back to the system, and looking for it holds up nobody."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import resource
from pathlib import Path

_SECONDS = 5.0
_GROWN = 32 * 1024 * 1024


_COLLECT = (10_000, 10, 100)
"""Python's own thresholds start a collection for each 700 objects, and look at all objects, a hundred thousand of a large
body included, several times while it is read: half of the time that it took.
"""


def collect_rarely() -> None:
    """Leave what is there when a process begins to serve out of every collection, and collect in larger steps."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT)


_MMAP_THRESHOLD = -3  # of mallopt(3)
_LARGE = 512 * 1024


def give_back_large_blocks() -> None:
    """What a large body took goes back to the system with it: the C library would raise its own limit, 128 KB at first, with
    each larger block, and keep what is freed below it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's alone
    if mallopt:
        mallopt(_MMAP_THRESHOLD, _LARGE)


async def return_free_memory() -> None:
    """Look from time to time, for ever: the C library keeps what is freed below something that is still in use."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
    if not trim:
        return
    least = _resident()
    while True:
        await asyncio.sleep(_SECONDS)
        if _resident() > least + _GROWN:
            await asyncio.to_thread(trim, 0)
        least = min(least, _resident())


def _resident() -> int:
    """Bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
