"""Where in the place what lies: by the key that it belongs to, so that nobody finds another's by its id."""

from __future__ import annotations

import hashlib
import re
import uuid

from router_backend.core.ids import decided_at, new_decision_id

_ID = re.compile(r"(file-|batch_)[0-9a-f]{32}")
WAITING = "waiting"
"""Folder of the batches that haven't ended, a name for each; its content is their owner."""
KEYS = "keys"


def new_id(prefix: str) -> str:
    """A fresh id; ids of one kind are in the order of time."""
    return prefix + new_decision_id().replace("-", "")


def made_at(id: str) -> float:
    """Unix seconds."""
    return decided_at(str(uuid.UUID(id[-32:]))) or 0.0


def is_id(text: str, prefix: str) -> bool:
    """Whether a text that came with a request is such an id at all."""
    return text.startswith(prefix) and _ID.fullmatch(text) is not None


def owner_of(key: str) -> str:
    """The name of a key's folder; of all clients where there are no keys."""
    return hashlib.blake2b(key.encode(), digest_size=16).hexdigest()


def files(owner: str) -> str:
    return f"{KEYS}/{owner}/files"


def file(owner: str, file_id: str) -> str:
    return f"{files(owner)}/{file_id}.json"


def contents(owner: str) -> str:
    return f"{KEYS}/{owner}/contents"


def content(owner: str, file_id: str) -> str:
    return f"{contents(owner)}/{file_id}"


def batches(owner: str) -> str:
    return f"{KEYS}/{owner}/batches"


def batch(owner: str, batch_id: str) -> str:
    return f"{batches(owner)}/{batch_id}"


def waiting(batch_id: str) -> str:
    return f"{WAITING}/{batch_id}"
