"""Memory that a burst of large answers has taken and that nobody uses any more goes back to the system."""

from __future__ import annotations

import asyncio
import ctypes
import resource
from pathlib import Path

_SECONDS = 5.0
_GROWN = 32 * 1024 * 1024


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
