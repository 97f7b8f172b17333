"""`ast.parse` as the suite needs it: nothing runs in the middle of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

from router_backend.core.garbage import no_collections

Parse = Callable[..., Any]


def uninterrupted(parse: Parse) -> Parse:
    """`parse` without garbage collections in its middle, by one thread at a time, as another's end turns collections on again.

    Up to Python 3.11.7 and 3.12.1 the depth of a tree that is being built is one number for the whole interpreter (gh-106905). A
    collection may begin at any node. If it ends an object whose finalizer parses, or lets another thread go on that does, the outer call
    fails with SystemError. Finalizers do parse: a task whose exception nobody has asked for logs a traceback, and tracebacks parse their
    lines. Hypothesis parses each module that was imported since the last example, so tests with many tasks met it by chance.
    """

    turn = threading.RLock()

    @wraps(parse)
    def guarded(*arguments: Any, **options: Any) -> Any:
        with turn, no_collections():
            return parse(*arguments, **options)

    return guarded
