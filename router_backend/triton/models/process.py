"""What every Python model process does: it ends with its server."""

from __future__ import annotations

import faulthandler
import logging
import os
import threading
import time

_STUCK_SECONDS = 10


def begin(name: str) -> None:
    """Log to standard error (the server's log), and end when tritonserver is gone, kill -9 included."""
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
