"""Work on several arms at once: products of matrices run without the interpreter's lock."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from router_backend.cores import usable_cores

_WORTH_IT = 1000  # observations; with fewer, handing them over costs as much as they do


def for_each_arm(work: Callable[[int], None], arms: Sequence[int], observations: int) -> None:
    """Do the work of each arm, on all cores if there is much of it; ends when all is done, and raises what one of them raised."""
    if observations < _WORTH_IT or len(arms) < 2 or _cores() < 2:
        for arm in arms:
            work(arm)
        return
    list(_pool().map(work, arms))


@functools.cache
def _pool() -> ThreadPoolExecutor:
    """Of more threads than cores, which share these: three arms on two cores take the time of one and a half, not of two."""
    return ThreadPoolExecutor(2 * _cores(), "arms")


@functools.cache
def _cores() -> int:
    return max(1, int(usable_cores()))
