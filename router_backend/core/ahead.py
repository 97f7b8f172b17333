"""Reading ahead in a thread, while what was read is worked on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
_KEPT = 4


def read_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The same items, up to `_KEPT` of them read before they are asked for; an error comes where it was."""
    read: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(_KEPT)
    stop = threading.Event()

    def put(entry: tuple[Item | None, BaseException | None]) -> None:
        while not stop.is_set():
            try:
                return read.put(entry, timeout=0.1)
            except queue.Full:
                continue

    def run() -> None:
        try:
            for item in items:
                put((item, None))
                if stop.is_set():
                    return
            put((None, _End()))
        except BaseException as error:
            put((None, error))

    threading.Thread(target=run, name="read-ahead", daemon=True).start()
    try:
        while True:
            item, error = read.get()
            if isinstance(error, _End):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
    finally:
        stop.set()


class _End(Exception):
    """Of the items."""
