"""What was learned up to a position of the log, as bytes: a start reads it and folds the rest of the log alone.

    magic        `LLRC`, and the format's number in a byte
    digest       SHA-256 of all that follows, 32 bytes
    content      an `.npz` without pickles: `key`, `family`, `log`, `sequence`, and the fold's arrays

`key` names all that the arrays depend on beside the log: embedding space, arms, prices and how each policy learns. `family` names the part
of it that other models and policies can share. `log` is the store's name of its log, which a reset changes.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.statistics.fields import Fields

FORMAT = 1
_MAGIC = b"LLRC"
_HEADER = len(_MAGIC) + 1 + hashlib.sha256().digest_size


class CheckpointError(ValueError):
    """Bytes that aren't a checkpoint for who reads them; says why."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The statistics of a fold after the event `sequence`."""

    key: str
    log: str
    sequence: int
    fields: Fields
    family: str

    def encode(self) -> bytes:
        file = io.BytesIO()
        arrays: dict[str, NDArray[Any]] = {
            "key": np.array(self.key),
            "family": np.array(self.family),
            "log": np.array(self.log),
            "sequence": np.array(self.sequence),
            **{f"fold/{name}": value for name, value in self.fields.items()},
        }
        np.savez(file, **arrays)
        content = file.getvalue()
        return _MAGIC + bytes([FORMAT]) + hashlib.sha256(content).digest() + content

    @classmethod
    def decode(cls, data: bytes) -> Checkpoint:
        """The checkpoint of `encode`'s bytes.

        Raises:
            CheckpointError: damaged, or of another format.
        """
        if data[: len(_MAGIC)] != _MAGIC or len(data) < _HEADER:
            raise CheckpointError("it isn't a checkpoint")
        if data[len(_MAGIC)] != FORMAT:
            raise CheckpointError(f"it has format {data[len(_MAGIC)]}, this build reads {FORMAT}")
        content = data[_HEADER:]
        if hashlib.sha256(content).digest() != data[len(_MAGIC) + 1 : _HEADER]:
            raise CheckpointError("it is damaged")
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                fields = {name.removeprefix("fold/"): arrays[name] for name in arrays.files if name.startswith("fold/")}
                key = str(arrays["key"])
                # Of earlier releases it is told by the key alone.
                family = str(arrays["family"]) if "family" in arrays.files else key[: len(key) // 2]
                return cls(key, str(arrays["log"]), int(arrays["sequence"]), fields, family)
        except (KeyError, TypeError, ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise CheckpointError(f"it can't be read ({error})") from error
