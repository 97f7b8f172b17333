"""What gateways ask the store about stored responses, and what they are told: JSON through the `feedback` model."""

from __future__ import annotations

import msgspec

from router_backend.core.records import Bound, StoredResponse
from router_backend.state.store import Store


class Keep(msgspec.Struct, tag="keep", forbid_unknown_fields=True):
    """Write an answer."""

    response_id: str
    key: str
    created: float
    body: str  # JSON


class Read(msgspec.Struct, tag="read", forbid_unknown_fields=True):
    """Tell an answer to the key that it belongs to."""

    response_id: str
    key: str


class Forget(msgspec.Struct, tag="forget", forbid_unknown_fields=True):
    """Remove an answer of this key."""

    response_id: str
    key: str


Asked = Keep | Read | Forget
_decoder: msgspec.json.Decoder[Asked] = msgspec.json.Decoder(Asked)
_encoder = msgspec.json.Encoder()
DONE, NONE = b"true", b"null"


class NotKept(ValueError):
    """The configuration says that no text is stored."""


def encode_asked(asked: Asked) -> bytes:
    """The `responses` input of the `feedback` model."""
    return _encoder.encode(asked)


def decode_asked(data: bytes | str) -> Asked:
    """The inverse of `encode_asked`. Raises ValueError: it isn't one."""
    try:
        return _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"responses: {error}") from error


def answer(store: Store, asked: Asked, bound: Bound | None) -> bytes:
    """The model's output `response`: `true`, the body, or `null` where the key has no such answer.

    Raises:
        NotKept: there is no `bound`, so that none is stored, and an answer is to be written.
        StoreError: the store can't be used now.
    """
    if isinstance(asked, Keep):
        if bound is None:
            raise NotKept("no answer is stored here: responses.store is off in Triton's router.yaml")
        body = asked.body.encode()
        store.keep_response(
            StoredResponse(response_id=asked.response_id, key=asked.key, created=asked.created, body=body),
            bound,
        )
        return DONE
    found = store.response(asked.response_id)
    if found is None or found.key != asked.key:
        return NONE
    if isinstance(asked, Read):
        return found.body
    return DONE if store.forget_response(asked.response_id) else NONE
