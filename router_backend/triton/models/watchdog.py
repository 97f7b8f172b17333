"""Asks each model of a server whether it answers. The two models that watch the others run it, each on a thread.

A model is hung that the server calls unhealthy twice, or that doesn't answer within twice `PATIENCE_SECONDS` and nothing
else in the second half. Its process is killed, which ends the server as any killed model does (`process`), and whoever runs
the server starts it again. A busy model is left alone: it goes on answering others. One whose other instance answers gets
`LONGEST_SECONDS`.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path

from router_backend.core.alive import ALIVE, NO_ANSWER, ROUTING, STREAMED, question
from router_backend.triton.models.own_server import ADDRESS, call

log = logging.getLogger(__name__)
PERIOD_SECONDS = 10.0
PATIENCE_SECONDS = 10.0
LONGEST_SECONDS = 120.0
_MISSES = 2
MODELS = (*ROUTING, *STREAMED, "feedback")


def ask(address: str, model: str, timeout: float) -> bool:
    """Ask a model, and return whether it has answered, whatever it said; False if the server says that it doesn't.

    Raises:
        OSError: no answer.
    """
    inputs = question(model)
    if model in STREAMED:
        body = {tensor["name"]: tensor["data"][0] for tensor in inputs} | {ALIVE: True}
        path = f"/v2/models/{model}/generate"
    else:
        body = {"inputs": inputs, "parameters": {ALIVE: True}}
        path = f"/v2/models/{model}/infer"
    return not NO_ANSWER.search(call(address, "POST", path, json.dumps(body).encode(), timeout)[1].decode())


def answered(address: str, model: str) -> int:
    """How many requests a model has answered; -1 if the server doesn't say it. Cancelled ones count as failed to Triton."""
    try:
        stats = json.loads(call(address, "GET", f"/v2/models/{model}/stats", None, PATIENCE_SECONDS)[1])
        return int(stats["model_stats"][0]["inference_stats"]["success"]["count"])
    except (OSError, ValueError, LookupError, TypeError):
        return -1


def missed(address: str, model: str) -> int:
    """Ask once: how many answers a model owes then, 0 if it answers."""
    healthy: list[bool] = []
    ended = threading.Event()

    def wait() -> None:
        try:
            healthy.append(ask(address, model, LONGEST_SECONDS))
        except TimeoutError:
            return
        except OSError:  # the server ends, or isn't there yet: that is others' to notice
            healthy.append(True)
        ended.set()

    asked, before = time.monotonic(), None
    threading.Thread(target=wait, name=f"ask-{model}", daemon=True).start()
    while not ended.wait(PATIENCE_SECONDS):
        now = answered(address, model)
        if now < 0:  # the server itself doesn't answer, or has no such model now
            return 0
        if now == before or time.monotonic() - asked > LONGEST_SECONDS:
            return _MISSES
        before = now
    return 0 if healthy[0] else 1


def watch(model: str, stubs: Callable[[], Collection[int]]) -> None:
    """Ask one model for ever, and kill its processes when it is hung. `stubs`: the ids of the server's model processes."""
    address, owed = os.environ.get(ADDRESS, ""), 0
    while address:
        time.sleep(PERIOD_SECONDS)
        now = missed(address, model)
        owed = owed + now if now else 0
        if owed < _MISSES:
            continue
        hung = [stub for stub in stubs() if _serves(stub, model)]
        owed = 0
        if hung:  # another guard may have been faster
            log.error("%s doesn't answer: its processes are killed, %s", model, hung)
        for stub in hung:
            os.kill(stub, signal.SIGKILL)


def _serves(stub: int, model: str) -> bool:
    try:
        command = Path(f"/proc/{stub}/cmdline").read_bytes()
    except OSError:
        return False
    return f"/{model}/".encode() in command
