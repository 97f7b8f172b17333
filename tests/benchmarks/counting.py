"""Work as numbers that don't depend on the machine's load: calls of the interpreter, and memory allocated."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType

from router_backend.core.garbage import no_collections


def calls(work: Callable[[], object], times: int = 20) -> float:
    """Calls of Python and C functions in one run of `work`: the mean over `times` runs, after one that fills caches."""
    count = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    work()
    before = sys.getprofile()
    with no_collections():  # hypothesis is called at each
        sys.setprofile(note)
        try:
            for _ in range(times):
                work()
        finally:
            sys.setprofile(before)
    return (count - 1) / times  # the last `setprofile` is one


def kept_bytes(work: Callable[[], object], times: int) -> int:
    """Bytes that `times` runs of `work` leave allocated, after one that fills caches."""
    work()
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(times):
            work()
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
