"""What Envoy is told (envoy.service.ext_proc.v3), in few words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from router_backend.gateway.extproc.messages import (
    OVERWRITE_IF_EXISTS_OR_ADD,
    BodyMutation,
    BodyResponse,
    CommonResponse,
    HeaderMap,
    HeaderMutation,
    HeadersResponse,
    HeaderValue,
    HeaderValueOption,
    HttpBody,
    HttpStatus,
    ImmediateResponse,
    ProcessingResponse,
    StreamedBodyResponse,
)
from router_backend.gateway.http.errors import Header

_PIECE = 62 * 1024  # bytes of one streamed piece: Envoy takes up to 64 KB


def headers_of(message: HeaderMap) -> list[Header]:
    """Names in lower case, as Envoy sends them. Newer Envoys fill `raw_value`, older ones `value`."""
    return [(item.key.encode("latin-1"), item.raw_value or item.value) for item in message.headers]


def changed_headers(values: Mapping[str, str | bytes], removed: Sequence[str] = ()) -> HeaderMutation:
    """Headers that are set, whatever they were, and those that are taken out."""
    return HeaderMutation(
        set_headers=[
            HeaderValueOption(
                header=HeaderValue(key=name, raw_value=value if isinstance(value, bytes) else value.encode()),
                append_action=OVERWRITE_IF_EXISTS_OR_ADD,
            )
            for name, value in values.items()
        ],
        remove_headers=list(removed),
    )


def request_headers(common: CommonResponse | None = None) -> ProcessingResponse:
    return ProcessingResponse(request_headers=HeadersResponse(response=common))


def response_headers(common: CommonResponse | None = None) -> ProcessingResponse:
    return ProcessingResponse(response_headers=HeadersResponse(response=common))


def whole_request(headers: HeaderMutation, body: bytes) -> ProcessingResponse:
    """In place of a request whose body Envoy has buffered; the route is chosen again, by the new headers."""
    common = CommonResponse(header_mutation=headers, body_mutation=BodyMutation(body=body), clear_route_cache=True)
    return ProcessingResponse(request_body=BodyResponse(response=common))


def streamed_request(headers: HeaderMutation, body: bytes) -> Iterator[ProcessingResponse]:
    """The same where Envoy streams both ways: head and body are two answers."""
    yield request_headers(CommonResponse(header_mutation=headers, clear_route_cache=True))
    yield from streamed_body(body, end=True, request=True)


def streamed_body(body: bytes, *, end: bool, request: bool) -> Iterator[ProcessingResponse]:
    """A part of a body that streams both ways: it goes on only if it is sent back."""
    for start in range(0, len(body) or 1, _PIECE):
        piece = body[start : start + _PIECE]
        part = StreamedBodyResponse(body=piece, end_of_stream=end and start + _PIECE >= len(body))
        answer = BodyResponse(response=CommonResponse(body_mutation=BodyMutation(streamed_response=part)))
        yield ProcessingResponse(request_body=answer) if request else ProcessingResponse(response_body=answer)


def passed_body(part: HttpBody, *, duplex: bool, request: bool) -> Iterator[ProcessingResponse]:
    """A part of a body that is left as it is."""
    if duplex:
        yield from streamed_body(part.body, end=part.end_of_stream, request=request)
    elif request:
        yield ProcessingResponse(request_body=BodyResponse())
    else:
        yield ProcessingResponse(response_body=BodyResponse())


def refusal(status: int, body: bytes, headers: Sequence[Header]) -> ProcessingResponse:
    """An answer that Envoy gives by itself; nothing goes upstream."""
    fields = {name.decode("latin-1"): value for name, value in headers} | {"content-type": b"application/json"}
    return ProcessingResponse(
        immediate_response=ImmediateResponse(
            status=HttpStatus(code=status), headers=changed_headers(fields), body=body, details="llm_router"
        )
    )
