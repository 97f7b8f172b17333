"""Large bodies: their fields without what is in them, and how deep they are, by calls that are short each."""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from router_backend.core.large import SMALL, Body
from router_backend.core.unread import Unread, UnreadList

LARGE = 1024 * 1024
"""Bytes. A smaller body is built whole: it takes a few milliseconds, and a few megabytes."""
_PIECE = 256 * 1024  # bytes that one call looks at
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_ONE_KIND = bytes.maketrans(b"[]", b"{}")
_OTHERS = bytes(byte for byte in range(256) if byte not in b'[]{}"')


def read_fields(raw: Body, known: Collection[str]) -> dict[str, Any]:
    """The fields of a body, those in `known` read. `messages` is a list whose items are not; neither are other large fields.

    Raises:
        ValueError: no JSON object, or `messages` no list.
    """
    for _ in codecs.iterdecode(_pieces(raw), "utf-8"):  # which nobody looks at where nothing is read
        pass
    return {name: _field(name, value, known) for name, value in _FIELDS.decode(raw).items()}


def _field(name: str, raw: msgspec.Raw, known: Collection[str]) -> Any:
    if name == "messages" and name in known:
        return UnreadList(raw)
    unread = Unread(raw)
    return unread if name not in known and len(raw) > SMALL else unread.value()


def deeper_than(raw: Body, levels: int) -> bool:
    """Whether JSON is nested more than so many levels deep."""
    brackets = b"".join(_brackets(raw))
    for _ in range(levels):
        if not brackets:
            return False
        brackets = brackets.replace(b"{}", b"")  # the innermost level
    return bool(brackets)


def _brackets(raw: Body) -> Iterator[bytes]:
    """All brackets outside of texts, as if they were of one kind."""
    half, within = b"", False  # of an escape; a text
    for piece in _pieces(raw):
        piece = half + piece
        half = b"\\" if (len(piece) - len(piece.rstrip(b"\\"))) % 2 else b""
        piece = piece[:-1] if half else piece
        marks = (_ESCAPE.sub(b"", piece) if b"\\" in piece else piece).translate(_ONE_KIND, _OTHERS)
        parts = (b'"' * within + marks).replace(b'""', b"").split(b'"')
        within = len(parts) % 2 == 0
        yield b"".join(parts[::2])


def _pieces(raw: Body) -> Iterator[bytes]:
    return (bytes(raw[at : at + _PIECE]) for at in range(0, len(raw), _PIECE))
