"""Seals of what gateways tell Triton: its gRPC port takes requests of anybody, and records must come from gateways alone.

A seal is HMAC-SHA256 (RFC 2104) by a key that both have been given at their start; the key itself never travels.
"""

from __future__ import annotations

import hashlib
import hmac

KEY = "LLM_ROUTER_RECORDS_KEY"
"""The environment variable with the key. Where Triton has none, it takes records of whoever reaches its port."""

SEAL, OWNER, ANY_OWNER = "llm_router_seal", "llm_router_key", "llm_router_any_key"
"""Parameters of a request to `feedback`: the seal, the API key that speaks, and whether it may score for all keys ("1")."""


def seal(key: str, *parts: str | bytes) -> str:
    """The seal of `parts`, in hexadecimal digits; empty without a key."""
    if not key:
        return ""
    digest = hmac.new(key.encode(), digestmod=hashlib.sha256)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def of_owner(key: str, decision_id: str, owner: str, everyone: bool) -> dict[str, str]:
    """The parameters by which an API key scores a decision; none without a key of ours."""
    if not key:
        return {}
    word = "1" if everyone else ""
    return {OWNER: owner, ANY_OWNER: word, SEAL: seal(key, decision_id, owner, word)}


def is_sealed(given: object, key: str, *parts: str | bytes) -> bool:
    """Whether `given` is the seal of `parts`."""
    return isinstance(given, str) and hmac.compare_digest(given.encode(), seal(key, *parts).encode())
