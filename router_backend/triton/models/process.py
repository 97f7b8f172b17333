"""What every Python model process does: it ends with its server."""

from __future__ import annotations

import logging
import os
import threading
import time


def begin(name: str) -> None:
    """Log to standard error (the server's log), and end when tritonserver is gone, kill -9 included."""
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {name} %(levelname)s %(name)s: %(message)s")
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
