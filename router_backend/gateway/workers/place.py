"""Where one worker stands among the others of its gateway."""

from __future__ import annotations

import hashlib
import json
import secrets
import socket
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """What a worker is told by its parent. `share` of a limit is what one worker may take of it."""

    index: int = 0
    count: int = 1
    folder: str = (
        ""  # of the gateway: sockets, metrics, the configuration in force; its owner's alone. Empty: no others
    )
    listeners: tuple[int, ...] = ()  # open files: sockets that are bound for this worker
    memory: int = -1  # open file: memory of all workers
    sessions: int = 0  # that have room in it

    def text(self) -> str:
        """For a command line."""
        return json.dumps(asdict(self))

    @staticmethod
    def read(text: str) -> Place:
        """From a command line."""
        fields = json.loads(text)
        return Place(**{**fields, "listeners": tuple(fields["listeners"])})

    @property
    def config(self) -> Path:
        """The configuration in force."""
        return Path(self.folder) / "router.yaml"

    @property
    def metrics(self) -> Path:
        return Path(self.folder) / "metrics"

    @property
    def alone(self) -> bool:
        """Whether this is the only process, and its own parent."""
        return not self.folder

    def gateway(self) -> str:
        """A new name for this gateway that no other one has; all its workers get the same."""
        own = f"{socket.gethostname()} {self.folder}" if self.folder else secrets.token_hex(16)
        return hashlib.blake2b(own.encode(), digest_size=16).hexdigest()

    @property
    def others(self) -> list[int]:
        return [index for index in range(self.count) if index != self.index]

    def share(self, limit: int) -> int:
        """The part of a limit that this worker keeps, rounded up."""
        return -(-limit // self.count)


ALONE = Place()


def socket_of(folder: str | Path, index: int | None = None) -> Path:
    """Where a worker answers the others; None: the parent."""
    return Path(folder) / f"{'parent' if index is None else index}.sock"
