"""A line of a batch as upstreams take it, by what it asks for."""

from __future__ import annotations

import msgspec

CONVERSE = "converse"
"""In the place of `/v1/…`: Bedrock's Converse."""
_encode = msgspec.json.encode


class _Row(msgspec.Struct, frozen=True):
    custom_id: str
    method: str
    url: str
    body: msgspec.Raw


class _Record(msgspec.Struct, frozen=True, rename="camel"):
    record_id: str
    model_input: msgspec.Raw


def row_of(endpoint: str, number: int, body: bytes) -> bytes:
    """The line of this number; that is all that the upstream knows of it.

    Sources: https://platform.openai.com/docs/guides/batch; "Format and upload your batch inference data" of the Amazon Bedrock
    User Guide (earlier versions want eleven characters of `recordId`).
    """
    if endpoint == CONVERSE:
        return _encode(_Record(f"{number:011}", msgspec.Raw(body)))
    return _encode(_Row(str(number), "POST", endpoint, msgspec.Raw(body)))
