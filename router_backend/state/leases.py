"""Leases that gateways take in the store, through the `feedback` model: of several processes one does a piece of work."""

from __future__ import annotations

from typing import Annotated

import msgspec

from router_backend.state.store import Store

_PREFIX = "gateway:"
"""In front of the names that gateways give: the routers have leases of their own."""
TAKEN, REFUSED = b"true", b"false"


class Lease(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Take it, or prolong one's own, for so many seconds. A few seconds give it back; fewer than a tenth of what others take would look
    like a wrong clock of theirs."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    holder: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    seconds: Annotated[float, msgspec.Meta(ge=1, le=3600)]


_decoder: msgspec.json.Decoder[Lease] = msgspec.json.Decoder(Lease)
_encoder = msgspec.json.Encoder()


def encode(lease: Lease) -> bytes:
    """The `leases` input of the `feedback` model."""
    return _encoder.encode(lease)


def decode(data: bytes | str) -> Lease:
    """The inverse of `encode`. Raises ValueError: it isn't one."""
    try:
        return _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"leases: {error}") from error


def answer(store: Store, lease: Lease) -> bytes:
    """The model's output `response`: `true`, or `false` while somebody else holds it. Raises StoreError."""
    taken = store.claim(_PREFIX + lease.name, lease.holder, lease.seconds)
    return TAKEN if taken else REFUSED
