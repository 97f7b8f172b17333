"""Our table of Envoy's messages against a package that is generated from Envoy's own files."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.extensions.filters.http.ext_proc.v3 import ProcessingModeBodySendMode
from envoy_data_plane.envoy.service.ext_proc import v3 as ext_proc
from envoy_data_plane.envoy.type import v3 as types

from router_backend.gateway.extproc import messages, replies

PACKAGES = (ext_proc, core, types)


def theirs(name: str) -> Any:
    return next(getattr(package, name) for package in PACKAGES if hasattr(package, name))


@pytest.mark.parametrize("name", messages.FIELDS)
def test_fields_have_envoys_numbers_and_types(name: str) -> None:
    fields = {}
    for entry in dataclasses.fields(theirs(name)):
        what = entry.metadata["betterproto"]
        kind = what.proto_type
        if kind == "message":
            kind = str(entry.type).removeprefix("list[").split("|")[0].strip(" ]").rpartition(".")[2]
        fields[what.number] = f"{entry.name} {'int32' if kind == 'enum' else kind}{'*' if what.repeated else ''}"
    if name == "HeaderValue":
        fields[2] = fields[2].replace("string", "bytes")  # the same on the wire
    assert messages.FIELDS[name].items() <= fields.items()


def test_modes_and_actions_have_envoys_numbers() -> None:
    assert ProcessingModeBodySendMode.FULL_DUPLEX_STREAMED == messages.FULL_DUPLEX_STREAMED
    action = core.HeaderValueOptionHeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD
    assert action == messages.OVERWRITE_IF_EXISTS_OR_ADD


def test_what_we_write_is_what_envoy_reads() -> None:
    headers = replies.changed_headers({"x-router-model": "a", "x": b"\xff"}, ["authorization"])
    answers = [
        replies.request_headers(),
        replies.whole_request(headers, b"{}"),
        *replies.streamed_request(headers, b"x" * 70_000),
        replies.refusal(429, b"no", [(b"retry-after", b"1")]),
    ]
    for answer in answers:
        raw = answer.SerializeToString()
        read = ext_proc.ProcessingResponse.parse(raw)
        assert messages.ProcessingResponse.FromString(bytes(read)) == answer


def test_what_envoy_writes_is_what_we_read() -> None:
    """Fields that we have no use for are passed over, and older Envoys' `value` is read where it isn't UTF-8."""
    head = core.HeaderMap(
        headers=[core.HeaderValue(key=":path", raw_value=b"/v1"), core.HeaderValue(key="x", value="é")]
    )
    request = ext_proc.ProcessingRequest(
        request_headers=ext_proc.HttpHeaders(headers=head, end_of_stream=True), observability_mode=True
    )
    read = messages.ProcessingRequest.FromString(bytes(request))
    assert read.HasField("request_headers")
    assert not read.HasField("request_body")
    assert read.request_headers.end_of_stream
    assert replies.headers_of(read.request_headers.headers) == [(b":path", b"/v1"), (b"x", "é".encode())]
    odd = bytes(request).replace("é".encode(), b"\xff\xfe")
    assert replies.headers_of(messages.ProcessingRequest.FromString(odd).request_headers.headers)[1] == (
        b"x",
        b"\xff\xfe",
    )
