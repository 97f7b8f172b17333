"""API keys of upstreams, from the environment or from a file that may be rotated under us."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from router_backend.config.models import OpenAIUpstream


def key_reader(upstream: OpenAIUpstream) -> Callable[[], str | None]:
    """A function that gives the current key. The environment wins over the file."""
    name = upstream.api_key_env
    if name:
        if not os.environ.get(name) and not upstream.api_key_file:
            raise ValueError(f"the environment variable {name} (api_key_env) is not set; set it or remove api_key_env")
        if os.environ.get(name):
            return lambda: os.environ.get(name)
    return KeyFile(Path(upstream.api_key_file)) if upstream.api_key_file else lambda: None


class KeyFile:
    """Reads the file again when it has changed; a file that is gone keeps the last key, as rotation replaces files."""

    def __init__(self, path: Path) -> None:
        self._path, self._stamp, self._key = path, (-1, -1, -1), ""
        if not self():
            raise ValueError(f"{path} (api_key_file) can't be read or is empty; put the API key in it")

    def __call__(self) -> str | None:
        """The current key, None if there never was one."""
        try:
            stat = self._path.stat()
            stamp = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
            if stamp != self._stamp:
                self._key = self._path.read_text(encoding="utf-8").strip() or self._key
                self._stamp = stamp
        except (OSError, UnicodeDecodeError):
            return self._key or None
        return self._key or None
