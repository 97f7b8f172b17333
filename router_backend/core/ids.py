"""Decision ids: UUIDv7 (RFC 9562, section 5.7), whose first 48 bits are the time of the decision in milliseconds."""

from __future__ import annotations

import os
import time
import uuid

_VERSION_AND_VARIANT_MASK = ~((0xF << 76) | (0x3 << 62))


def new_decision_id(at: float | None = None) -> str:
    """A fresh id for a decision made `at` (Unix seconds; default: now)."""
    milliseconds = int((time.time() if at is None else at) * 1000)
    value = (milliseconds << 80) | int.from_bytes(os.urandom(10))
    digits = f"{(value & _VERSION_AND_VARIANT_MASK) | (0x7 << 76) | (0x2 << 62):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def decided_at(decision_id: str) -> float | None:
    """Unix seconds from a UUIDv7; None for anything else."""
    try:
        value = uuid.UUID(decision_id)
    except ValueError:
        return None
    return (value.int >> 80) / 1000 if value.version == 7 else None
