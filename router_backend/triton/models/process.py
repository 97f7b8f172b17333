"""What every Python model process does: it ends with its server, and the server doesn't outlive a model that was killed."""

from __future__ import annotations

import faulthandler
import itertools
import logging
import os
import signal
import threading
import time
from pathlib import Path

from router_backend.triton.models import watchdog

_STUCK_SECONDS = 25  # loading a tokenizer holds the lock, on a busy machine for more than ten
_GUARD_SECONDS = 1.0
_SCAN_TICKS = 10
_STUB = "triton_python_backend_stub"[:15]  # what the kernel keeps of a process's name

log = logging.getLogger(__name__)


def begin(name: str, guard: bool = False) -> None:
    """Log to standard error (the server's log), and end when tritonserver is gone, kill -9 included.

    A guard also ends the server when another model's process has died (`_guard`), and kills one that hangs (`watchdog`).
    """
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {name} %(levelname)s %(name)s: %(message)s")
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            # A call into Triton holds the interpreter's lock until the server answers, which a killed one never does.
            # This timer needs no lock; as long as this thread runs, it is put off.
            faulthandler.dump_traceback_later(_STUCK_SECONDS, exit=True)
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
    if guard:
        threading.Thread(target=_guard, args=(parent,), name="sibling-watch", daemon=True).start()
        for model in watchdog.MODELS:
            asking = threading.Thread(target=watchdog.watch, args=(model, lambda: _models(parent)), daemon=True)
            asking.start()


def _guard(server: int) -> None:
    """End the server when one of its model processes was killed; whoever runs the server starts it again.

    No Triton starts a dead model process again. 2.51 calls the model "ready" still, and each of its requests fails after a
    second; from 26.04 on neither the model nor the server is ready, which takes a pod out of service and leaves it there. An
    explicit load changes nothing. Only a new server helps. The processes of models that are unloaded are
    collected by Triton at once; one that stays a zombie was not meant to end.
    """
    dead_before: set[int] = set()
    models: set[int] = set()
    for tick in itertools.count():
        if tick % _SCAN_TICKS == 0:  # reading all of /proc costs more than looking at some
            models = _models(server)
        dead = {model for model in models if _is_model(model, server, "Z")}
        if dead & dead_before:
            log.error("a model's process was killed; ending the server, so that it is started again: %s", dead)
            # The kernel doesn't let a container's first process be killed from inside; that one is asked to stop.
            os.kill(server, signal.SIGTERM if server == 1 else signal.SIGKILL)
        dead_before = dead
        time.sleep(_GUARD_SECONDS)


def _models(server: int) -> set[int]:
    """Ids of the processes of a server's models."""
    return {int(name) for name in os.listdir("/proc") if name.isdigit() and _is_model(int(name), server)}


def _is_model(process: int, server: int, states: str = "") -> bool:
    """Whether a process is a model of `server`, and in one of these states if any are given (proc(5))."""
    try:
        before, _, after = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")
    except OSError:  # it is gone
        return False
    state, parent = after.split()[:2]
    return int(parent) == server and before.partition("(")[2] == _STUB and (not states or state in states)
