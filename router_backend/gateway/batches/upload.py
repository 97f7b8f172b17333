"""An upload: a form (RFC 7578) whose file goes to the place piece by piece, whatever order its fields come in."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from router_backend.config.batches import BatchesConfig
from router_backend.core.jsonio import load
from router_backend.gateway.batches import shelves
from router_backend.gateway.batches.files import FILE, INPUT, File, Files
from router_backend.gateway.batches.storage.objects import Objects, Writer
from router_backend.gateway.http.errors import ApiError

AROUND = 64 * 1024
"""Bytes of a form beside its file."""
_LONGEST_FIELD = 1024
_LONGEST_NAME = 255
_FIELDS = 16
_EXPIRES = "expires_after"
EXPIRES = (f"{_EXPIRES}[anchor]", f"{_EXPIRES}[seconds]")
"""As OpenAI's SDKs send an object in a form; one field with its JSON is taken, too."""
SECONDS = (3600, 2_592_000)
"""That a file may be kept, where a request says it: an hour to 30 days, as OpenAI's."""


@dataclass(slots=True)
class _Form:
    fields: dict[str, bytearray] = field(default_factory=dict)
    filename: str | None = None  # None: no file has come


async def upload(
    pieces: AsyncIterator[bytes], content_type: str, owner: str, objects: Objects, files: Files, config: BatchesConfig
) -> File:
    """The file of a form, durable when this returns. `pieces`: the form.

    Raises:
        ApiError: 400, it is no such form, or its fields have no meaning; 413, its file is too large.
        ObjectsError: it can't be kept now.
    """
    kind, options = parse_options_header(content_type)
    if kind != "multipart/form-data" or not options.get("boundary"):
        raise _wrong("Send the file as multipart/form-data", "file")
    file_id, form = shelves.new_id(FILE), _Form()
    async with objects.writer(shelves.content(owner, file_id)) as writer:
        try:
            with PushMultipartParser(options["boundary"], max_segment_count=_FIELDS) as parser:
                segment: MultipartSegment | None = None
                async for piece in pieces:
                    for part in parser.parse(piece) if piece else ():
                        if isinstance(part, MultipartSegment):
                            segment = _begun(part, form)
                        elif part and segment:
                            await _take(segment, part, form, writer, config.max_file_bytes)
        except (ApiError, MultipartError) as error:
            async for _ in pieces:  # a client that is still sending would not see the answer
                pass
            if isinstance(error, ApiError):
                raise
            raise _wrong(f"The form can't be read: {error}", "file") from None
        kept = _seconds(form, config)
        made = int(time.time())
        file = File(file_id, writer.size, made, made + kept, form.filename or "", INPUT)
        await writer.commit()
    await files.add(owner, file)
    return file


def _begun(segment: MultipartSegment, form: _Form) -> MultipartSegment:
    name = segment.name or ""
    if name == "file":
        if form.filename is not None:
            raise _wrong("The form has more than one file", "file")
        form.filename = (segment.filename or "file")[:_LONGEST_NAME]
    else:
        form.fields[name[:_LONGEST_NAME]] = bytearray()
    return segment


async def _take(segment: MultipartSegment, part: bytearray, form: _Form, writer: Writer, limit: int) -> None:
    if segment.name != "file":
        value = form.fields[(segment.name or "")[:_LONGEST_NAME]]
        value += part
        if len(value) > _LONGEST_FIELD:
            raise _wrong(f"A field is longer than {_LONGEST_FIELD} bytes", segment.name or "")
        return
    if writer.size + len(part) > limit:
        message = f"The file is larger than {limit} bytes (batches.max_file_bytes)"
        raise ApiError(413, message, code="file_too_large", param="file")
    await writer.write(part)


def _seconds(form: _Form, config: BatchesConfig) -> int:
    """How long the file is kept. Raises ApiError."""
    fields = {name: value.decode("utf-8", "replace") for name, value in form.fields.items()}
    if form.filename is None:
        raise _wrong("Missing required parameter: 'file'", "file", "missing_required_parameter")
    if "purpose" not in fields:
        raise _wrong("Missing required parameter: 'purpose'", "purpose", "missing_required_parameter")
    if fields["purpose"] != INPUT:
        raise _wrong(f"The purpose must be '{INPUT}': this gateway keeps no other files", "purpose")
    given = {name for name in fields if name.startswith(_EXPIRES)}
    if not given:
        return int(config.retention_days * 86_400)
    if given == {_EXPIRES}:
        try:
            said = load(bytes(form.fields[_EXPIRES]))
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise _wrong(f"{_EXPIRES} must be a JSON object, or the fields {' and '.join(EXPIRES)}", _EXPIRES)
        return expires_after(said.get("anchor"), said.get("seconds"), _EXPIRES)
    if unknown := sorted(given.difference(EXPIRES)):  # else it would be kept longer than its client thinks
        raise _wrong(f"{unknown[0]}: {_EXPIRES} is a JSON object, or the fields {' and '.join(EXPIRES)}", _EXPIRES)
    seconds = fields.get(EXPIRES[1], "")
    return expires_after(fields.get(EXPIRES[0]), int(seconds[:12]) if seconds.isdecimal() else None, _EXPIRES)


def expires_after(anchor: object, seconds: object, param: str) -> int:
    """Seconds that a file is kept, as a request says it. Raises ApiError (400)."""
    if anchor != "created_at":
        raise _wrong(f"{param}.anchor must be 'created_at'", f"{param}.anchor")
    if not isinstance(seconds, int) or not SECONDS[0] <= seconds <= SECONDS[1]:
        raise _wrong(f"{param}.seconds must be {SECONDS[0]} to {SECONDS[1]}", f"{param}.seconds")
    return seconds


def _wrong(message: str, param: str, code: str = "invalid_value") -> ApiError:
    return ApiError(400, message, code=code, param=param or None)
