"""`python -m router_backend.archive`: the archiver of a deployment. `llm-router up` starts it like this."""

from __future__ import annotations

import logging
import sys

from router_backend.archive.place import ArchiveError
from router_backend.archive.process import serve
from router_backend.config import ConfigError
from router_backend.config.runtime import runtime_config, state_dir
from router_backend.state.store import StoreError

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
try:
    serve(runtime_config(), state_dir())
except (ConfigError, ArchiveError, StoreError) as error:
    sys.exit(f"archive: {error}")
