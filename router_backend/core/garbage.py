"""Python's search for cyclic garbage, which many new objects set off, though they hold no cycle."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collections() -> Iterator[None]:
    """For a moment, while a page of records is read: two lists a record made the search a third of what reading costs.

    It is off in all threads. Threads may overlap: it is on again at the latest when the first ends that has found it on.
    """
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()
