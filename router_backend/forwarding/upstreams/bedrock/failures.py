"""AWS's exceptions as the failures that the engine knows: in place of an answer, and in the middle of a stream."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from router_backend.core.errors import NO_MODEL, RATE_LIMITED, UNSUPPORTED, OpenAIError
from router_backend.core.jsonio import dump, load
from router_backend.forwarding.failure import Failure, from_status

_STATUSES = {
    "throttling": 429,
    "servicequotaexceeded": 429,
    "toomanyrequests": 429,
    "modelnotready": 503,  # it is being loaded; AWS calls that 429
    "serviceunavailable": 503,
    "modeltimeout": 504,
    "internalserver": 500,
    "internalfailure": 500,
    "modelerror": 500,
    "modelstreamerror": 500,
    "validation": 400,
    "resourcenotfound": 404,
}
"""By the exception's name, in lower case and without its `Exception`."""
_AUTH = frozenset(
    (
        "accessdenied",
        "unrecognizedclient",
        "invalidsignature",
        "expiredtoken",
        "incompletesignature",
        "missingauthentication",
    )
)
_TOO_LONG = re.compile(r"too long|too many (input )?tokens|context (length|window)|maximum.{0,20}tokens", re.I)
_NO_SUCH_MODEL = re.compile(r"model identifier|on-demand throughput|end of its life", re.I)
_UNABLE = re.compile(r"(does ?n.t|does not|is ?n.t|is not|are not) support", re.I)


def kind_of(name: str) -> str:
    """`ThrottlingException:http://…` and `throttlingException` are one: `throttling`."""
    return (
        name.partition(":")[0].rpartition("#")[2].strip().lower().removesuffix("exception").removesuffix("token") or ""
    )


def failure_of(
    arm: str, name: str, fields: Mapping[str, Any], status: int = 0, retry_after: float | None = None
) -> Failure:
    """`name` of the exception and its `fields`; `status`: HTTP's, where it came instead of an answer.

    Credentials that are refused are `Signer.refused`'s.
    """
    kind = kind_of(name)
    message = str(fields.get("message") or fields.get("Message") or fields.get("originalMessage") or name or status)
    code = None
    theirs = fields.get("originalStatusCode")
    if kind in ("modelerror", "modelstreamerror") and theirs == 429:
        kind = "throttling"
    if kind == "validation" and _TOO_LONG.search(message):
        code = "context_length_exceeded"
    elif kind == "resourcenotfound" or (kind == "validation" and _NO_SUCH_MODEL.search(message)):
        return Failure(NO_MODEL, OpenAIError(f"{arm}: {message}; check upstream.model and its access in this region"))
    elif kind == "validation" and _UNABLE.search(message):  # another model may
        return Failure(UNSUPPORTED, OpenAIError(f"{arm}: {message}", 400, "invalid_request_error"))
    status = _STATUSES.get(kind, status or 500)
    failure = from_status(arm, status, dump({"error": {"message": message, "code": code}}), retry_after)
    if failure.cause is RATE_LIMITED:
        return Failure(
            RATE_LIMITED,
            OpenAIError(f"{arm}: {message}", 429, "rate_limit_error", "rate_limit_exceeded", retry_after=retry_after),
        )
    return failure


def credentials_refused(name: str, status: int) -> bool:
    """Whether an exception is about the router's own credentials or rights."""
    kind = kind_of(name)
    return kind in _AUTH or kind == "expired" or (status in (401, 403) and kind not in _STATUSES)


def fields_of(body: bytes) -> dict[str, Any]:
    """The exception's fields; empty if there are none."""
    try:
        found = load(body)
    except ValueError:
        return {"message": body[:300].decode("utf-8", "replace")} if body else {}
    return found if isinstance(found, dict) else {}
