"""The lines of a batch's file: read piece by piece, checked, each with its number."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import NamedTuple

import msgspec

from router_backend.core.large import off_loop
from router_backend.gateway.batches.record import LineError
from router_backend.gateway.large_bodies import deeper_than

MOST_ERRORS = 100
"""That a batch which failed says."""
_LONGEST_ID = 512
_AROUND = 64 * 1024  # bytes of a line beside its request
_MOST_LEVELS = 500  # a line is read again later, maybe with less of the interpreter's stack left than its check had
_TOO_DEEP = ("invalid_json_line", f"This line is nested more than {_MOST_LEVELS} levels deep", None)


class Line(msgspec.Struct, frozen=True):
    """One request, as its client wrote it."""

    custom_id: str
    method: str
    url: str
    body: msgspec.Raw


class Numbered(NamedTuple):
    number: int  # from 1
    text: bytes
    too_long: bool = False  # `text` is its beginning


class Checked(NamedTuple):
    """What a file's check has found."""

    total: int
    errors: list[LineError]


_decoder = msgspec.json.Decoder(Line)


def read_line(text: bytes) -> Line:
    """Raises msgspec.MsgspecError, UnicodeDecodeError, RecursionError: it is none."""
    return _decoder.decode(text)


async def numbered(pieces: AsyncIterator[bytes], max_body_bytes: int) -> AsyncIterator[list[Numbered]]:
    """The lines of a file, some at a time; empty ones are left out, and count."""
    number, rest, cut = 1, b"", False
    longest = max_body_bytes + _AROUND
    async for piece in pieces:
        *whole, rest_of_piece = piece.split(b"\n")
        found = []
        for end in whole:
            if not cut and (text := (rest + end).strip()):
                found.append(Numbered(number, text[:longest], len(text) > longest))
            number, rest, cut = number + 1, b"", False
        rest = b"" if cut else rest + rest_of_piece
        if len(rest) > longest:
            found.append(Numbered(number, rest[:longest], True))
            rest, cut = b"", True
        if found:
            yield found
    if not cut and (text := rest.strip()):
        yield [Numbered(number, text[:longest], len(text) > longest)]


async def check(lines: AsyncIterator[list[Numbered]], endpoint: str, max_lines: int, max_body_bytes: int) -> Checked:
    """Whether a file is a batch for an endpoint. What is in the requests is each line's own matter when it is answered."""
    total, errors, seen = 0, [], _Seen()
    async for group in lines:
        size = sum(len(line.text) for line in group)
        errors += await off_loop(size, _errors, group, endpoint, seen, max_body_bytes)
        total += len(group)
        if total > max_lines:
            message = f"The file has more than {max_lines} lines (batches.max_lines)"
            return Checked(total, [*errors[: MOST_ERRORS - 1], LineError("too_many_lines", message, None, None)])
        if len(errors) >= MOST_ERRORS:
            break
    if not total:
        errors.append(LineError("empty_file", "The file has no line", None, None))
    return Checked(total, errors[:MOST_ERRORS])


class _Seen:
    """The ids of lines so far, by their hashes."""

    def __init__(self) -> None:
        self._lines: dict[bytes, int] = {}

    def before(self, custom_id: str, number: int) -> int | None:
        """The line that had this id before."""
        digest = hashlib.blake2b(custom_id.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        first = self._lines.setdefault(digest, number)
        return None if first == number else first


def _errors(group: list[Numbered], endpoint: str, seen: _Seen, max_body_bytes: int) -> list[LineError]:
    found = ((line, _error(line, endpoint, seen, max_body_bytes)) for line in group)
    return [LineError(*error, line=line.number) for line, error in found if error]


def _error(line: Numbered, endpoint: str, seen: _Seen, max_body_bytes: int) -> tuple[str, str, str | None] | None:
    """Code, message and field."""
    if line.too_long:
        return "line_too_large", f"The request is larger than {max_body_bytes} bytes (gateway.max_body_bytes)", None
    try:
        request = read_line(line.text)
    except msgspec.ValidationError as error:
        return "invalid_line", f"{error}: a line has custom_id, method, url and body", _field(str(error))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "invalid_json_line", "This line is not parseable as valid JSON", None
    except RecursionError:
        return _TOO_DEEP
    if line.text.count(b"[") + line.text.count(b"{") > _MOST_LEVELS and deeper_than(line.text, _MOST_LEVELS):
        return _TOO_DEEP
    if not 0 < len(request.custom_id) <= _LONGEST_ID:
        return "invalid_custom_id", f"custom_id must have 1 to {_LONGEST_ID} characters", "custom_id"
    if (first := seen.before(request.custom_id, line.number)) is not None:
        return "duplicate_custom_id", f"The custom_id is that of line {first}, too", "custom_id"
    if request.method != "POST":
        return "invalid_method", "The method must be POST", "method"
    if request.url != endpoint:
        return "invalid_url", f"The url must be the batch's endpoint, {endpoint}", "url"
    if bytes(memoryview(request.body)[:1]) != b"{":
        return "invalid_body", "The body must be an object", "body"
    if memoryview(request.body).nbytes > max_body_bytes:
        return "line_too_large", f"The request is larger than {max_body_bytes} bytes (gateway.max_body_bytes)", "body"
    return None


def _field(message: str) -> str | None:
    """The field that msgspec's message names."""
    return next((field for field in ("custom_id", "method", "url", "body") if field in message), None)
