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
_LONGEST = 200  # a mantissa of fewer digits with an exponent of fewer than three is below 1e308
_DIGITS = bytes(
    {**dict.fromkeys(b"0123456789.", ord("0")), **dict.fromkeys(b"eE", ord("e"))}.get(at, at) for at in range(256)
)
_LARGE_NUMBERS = (b"e000", b"e+000", b"0" * _LONGEST)
_ONE_KIND = bytes.maketrans(b"[]", b"{}")
_OTHERS = bytes(byte for byte in range(256) if byte not in b'[]{}"')


def read_fields(raw: Body, items: str, known: Collection[str] | None) -> dict[str, Any]:
    """The fields of a body. The one called `items`, if it is a list, is one whose items are not read; neither are large fields
    that are not in `known`, if it is given.

    Raises:
        ValueError: no JSON object, or not as strict as JSON is: where nothing is read nobody else looks.
    """
    for _ in codecs.iterdecode(_pieces(raw), "utf-8"):
        pass
    if _may_be_infinite(raw):
        raise ValueError("a number that may be too large")
    return {name: _field(name, value, items, known) for name, value in _FIELDS.decode(raw).items()}


def _field(name: str, raw: msgspec.Raw, items: str, known: Collection[str] | None) -> Any:
    if name == items and bytes(memoryview(raw)[:1]) == b"[":
        return UnreadList(raw)
    unread = Unread(raw)
    return unread if known is not None and name not in known and len(raw) > SMALL else unread.value()


def _may_be_infinite(raw: Body) -> bool:
    """Whether a number outside of texts has so many digits, or such an exponent, that it may be larger than a double holds."""
    if not any(_has_large_number(bytes(raw[max(0, at - _LONGEST) : at + _PIECE])) for at in range(0, len(raw), _PIECE)):
        return False  # not even within texts
    before = b""  # the end of what stood outside of texts, where that may go on
    for piece, within in _whole_escapes(raw):
        parts = piece.split(b'"')
        outside = before + b" ".join(parts[within::2])
        if _has_large_number(outside):
            return True
        before = b"" if within ^ (len(parts) % 2 == 0) else outside[-_LONGEST:]
    return False


def _has_large_number(text: bytes) -> bool:
    marks = text.translate(_DIGITS)
    return any(mark in marks for mark in _LARGE_NUMBERS)


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
    for piece, within in _whole_escapes(raw):
        marks = piece.translate(_ONE_KIND, _OTHERS)
        parts = (b'"' * within + marks).replace(b'""', b"").split(b'"')
        yield b"".join(parts[::2])


def _whole_escapes(raw: Body) -> Iterator[tuple[bytes, bool]]:
    """The body in pieces without what is escaped, and whether a piece begins within a text."""
    half, within = b"", False  # of an escape; a text
    for piece in _pieces(raw):
        piece = half + piece
        half = b"\\" if (len(piece) - len(piece.rstrip(b"\\"))) % 2 else b""
        piece = piece[:-1] if half else piece
        piece = _ESCAPE.sub(b"", piece) if b"\\" in piece else piece
        yield piece, within
        within ^= piece.count(b'"') % 2 == 1


def _pieces(raw: Body) -> Iterator[bytes]:
    return (bytes(raw[at : at + _PIECE]) for at in range(0, len(raw), _PIECE))
