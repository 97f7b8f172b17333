"""The messages of Envoy's external processor (envoy.service.ext_proc.v3), as far as they are used here.

protobuf's C code reads and writes them by a table of field numbers, which never change. The packages that have them cost more
than they give: envoy-data-plane is pure Python (1.5 ms a request, these 0.05), and xds-protos writes over files of others
(`google`, `opentelemetry`). A test compares the table with envoy-data-plane.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

FULL_DUPLEX_STREAMED = 4
"""A body's mode: Envoy streams it to us, and sends on what we stream back."""
OVERWRITE_IF_EXISTS_OR_ADD = 2
"""What happens to a header that we set."""

# Fields by number: name, type. Enums are numbers. A header's `value` is a string there; as bytes it can't be invalid UTF-8.
FIELDS: dict[str, dict[int, str]] = {
    "HeaderValue": {1: "key string", 2: "value bytes", 3: "raw_value bytes"},
    "HeaderMap": {1: "headers HeaderValue*"},
    "HttpHeaders": {1: "headers HeaderMap", 3: "end_of_stream bool"},
    "HttpBody": {1: "body bytes", 2: "end_of_stream bool"},
    "HttpTrailers": {1: "trailers HeaderMap"},
    "ProtocolConfiguration": {1: "request_body_mode int32", 2: "response_body_mode int32"},
    "ProcessingRequest": {
        2: "request_headers HttpHeaders",
        3: "response_headers HttpHeaders",
        4: "request_body HttpBody",
        5: "response_body HttpBody",
        6: "request_trailers HttpTrailers",
        7: "response_trailers HttpTrailers",
        11: "protocol_config ProtocolConfiguration",
    },
    "HeaderValueOption": {1: "header HeaderValue", 3: "append_action int32"},
    "HeaderMutation": {1: "set_headers HeaderValueOption*", 2: "remove_headers string*"},
    "StreamedBodyResponse": {1: "body bytes", 2: "end_of_stream bool"},
    "BodyMutation": {1: "body bytes", 3: "streamed_response StreamedBodyResponse"},  # one of them
    "CommonResponse": {
        2: "header_mutation HeaderMutation",
        3: "body_mutation BodyMutation",
        5: "clear_route_cache bool",
    },
    "HeadersResponse": {1: "response CommonResponse"},
    "BodyResponse": {1: "response CommonResponse"},
    "TrailersResponse": {1: "header_mutation HeaderMutation"},
    "HttpStatus": {1: "code int32"},
    "ImmediateResponse": {1: "status HttpStatus", 2: "headers HeaderMutation", 3: "body bytes", 5: "details string"},
    "ProcessingResponse": {
        1: "request_headers HeadersResponse",
        2: "response_headers HeadersResponse",
        3: "request_body BodyResponse",
        4: "response_body BodyResponse",
        5: "request_trailers TrailersResponse",
        6: "response_trailers TrailersResponse",
        7: "immediate_response ImmediateResponse",
    },
}
_PACKAGE = "llm_router.ext_proc"  # names are no part of what is sent
_SCALARS = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "int32": FieldDescriptorProto.TYPE_INT32,
}


def _message(name: str, fields: dict[int, str]) -> DescriptorProto:
    message = DescriptorProto(name=name)
    for number, text in fields.items():
        field_name, kind = text.split()
        field = message.field.add(name=field_name, number=number)
        field.label = FieldDescriptorProto.LABEL_REPEATED if kind.endswith("*") else FieldDescriptorProto.LABEL_OPTIONAL
        kind = kind.rstrip("*")
        if kind in _SCALARS:
            field.type = _SCALARS[kind]
        else:
            field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    return message


def _classes() -> dict[str, Any]:
    pool = DescriptorPool()  # of our own: the default one may hold Envoy's
    messages = [_message(name, fields) for name, fields in FIELDS.items()]
    pool.Add(FileDescriptorProto(name="ext_proc.proto", package=_PACKAGE, syntax="proto3", message_type=messages))
    return {name: GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in FIELDS}


_all = _classes()
HeaderMap, HeaderValue, HeaderValueOption = _all["HeaderMap"], _all["HeaderValue"], _all["HeaderValueOption"]
HeaderMutation, BodyMutation = _all["HeaderMutation"], _all["BodyMutation"]
HttpHeaders, HttpBody = _all["HttpHeaders"], _all["HttpBody"]
CommonResponse, StreamedBodyResponse = _all["CommonResponse"], _all["StreamedBodyResponse"]
HeadersResponse, BodyResponse, TrailersResponse = (
    _all["HeadersResponse"],
    _all["BodyResponse"],
    _all["TrailersResponse"],
)
HttpStatus, ImmediateResponse = _all["HttpStatus"], _all["ImmediateResponse"]
ProcessingRequest, ProcessingResponse = _all["ProcessingRequest"], _all["ProcessingResponse"]
