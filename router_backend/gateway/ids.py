"""Decision and request ids: UUIDv7 (RFC 9562, section 5.7), which sort by the time they were made."""

from __future__ import annotations

import os
import time
import uuid


def uuid7() -> str:
    """A new id: 48 bits of Unix milliseconds, then 74 random bits around version and variant."""
    value = time.time_ns() // 1_000_000 << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))
