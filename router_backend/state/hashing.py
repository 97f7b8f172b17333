"""Keyed hashes of what must not be stored: session ids and prompts."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

_KEY_VARIABLE = "LLM_ROUTER_HASH_KEY"


@dataclass(frozen=True, slots=True)
class Hasher:
    """BLAKE2b with a key, so that a leaked log can't be searched for known prompts."""

    key: bytes

    @classmethod
    def of(cls, state_dir: Path) -> Hasher:
        """The key of a deployment: `LLM_ROUTER_HASH_KEY` (replicas share it), else one kept in the state folder."""
        if value := os.environ.get(_KEY_VARIABLE):
            return cls(hashlib.sha256(value.encode()).digest())
        file = state_dir / "hash.key"
        state_dir.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            with tempfile.NamedTemporaryFile(dir=state_dir, prefix=".hash", delete=False) as fresh:
                fresh.write(secrets.token_bytes(32))
            # A link appears whole or not at all, and only once, however many processes start together.
            with contextlib.suppress(FileExistsError):
                os.link(fresh.name, file)
            os.unlink(fresh.name)
        return cls(file.read_bytes())

    def hash(self, text: str) -> str:
        """32 hexadecimal digits."""
        return hashlib.blake2b(text.encode("utf-8", "replace"), key=self.key, digest_size=16).hexdigest()
