"""The trace that a call belongs to, as its caller told it (W3C Trace Context, https://www.w3.org/TR/trace-context/)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

TraceContext = Mapping[str, str]
"""Headers or gRPC metadata for an upstream: `traceparent`, and `tracestate` if there is one; empty outside of a trace."""

PARENT, STATE = "traceparent", "tracestate"
_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]*)?")
_STATE = re.compile(r"[ -~]*")
_MAX_LENGTH = 4096  # the specification asks for 512 of tracestate at least


def trace_context(parents: Sequence[str], states: Sequence[str]) -> TraceContext:
    """The context in the values of the two headers.

    Empty when there is not exactly one valid `traceparent` (section 3.2); then `tracestate` says nothing either. Several
    `tracestate` headers are one list (section 3.3.1).
    """
    if len(parents) != 1 or len(parents[0]) > _MAX_LENGTH or not _PARENT.fullmatch(parents[0].strip()):
        return {}
    parent = parents[0].strip()
    if parent.startswith("00-") and len(parent) != 55:  # version 00 has nothing after its flags
        return {}
    state = ",".join(value.strip().replace("\t", " ") for value in states if value.strip())
    if not state or len(state) > _MAX_LENGTH or not _STATE.fullmatch(state):
        return {PARENT: parent}
    return {PARENT: parent, STATE: state}
