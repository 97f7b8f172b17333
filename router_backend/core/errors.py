"""The one vocabulary of failures: why an arm gave no answer, what follows from it, and what a client is told.

What follows from a failure is a property of its cause, so the engine, cascades, breakers and hosts can't disagree. Text
("arm:cause", labels of metrics) is made only where it leaves the process.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from router_backend.core.jsonio import dump
from router_backend.core.text import bounded

MAX_MESSAGE = 2000
MAX_LABEL = 200
"""Characters of an error's type, code and param."""


class Verdict(Enum):
    """What the end of a call says about the arm's health; its circuit breaker counts it."""

    WELL = auto()  # it answered
    FAILED = auto()
    NOTHING = auto()  # the client left, or the arm was only busy


class Fault(Enum):
    """Whose fault a failure is."""

    CLIENT = auto()  # the request asks for what can't be done, by this arm or by any: the arm itself is well
    ARM = auto()  # the arm's, its entry in router.yaml included
    ROUTER = auto()
    NOBODY = auto()  # busy, resting, or answered, but not well enough for a cascade


_VERDICTS = {Fault.CLIENT: Verdict.WELL, Fault.ARM: Verdict.FAILED}


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a call of an arm gave no answer.

    `retried`: the same arm may be called again. `falls_back`: another arm may be asked. `tried`: the arm worked on the
    request, which a client that sent it again would have it do twice; False where the arm was passed over or turned the
    request away at once.
    """

    label: str  # short; in logs, metrics and the list of fallbacks
    fault: Fault
    retried: bool = False
    falls_back: bool = True
    tried: bool = True

    @property
    def verdict(self) -> Verdict:
        """Only a fault of its own counts against an arm's breaker."""
        return _VERDICTS.get(self.fault, Verdict.NOTHING)

    def __str__(self) -> str:
        return self.label


CONNECT = Cause("connect", Fault.ARM, retried=True)
CUT = Cause("cut", Fault.ARM, retried=True)
INVALID_RESPONSE = Cause("invalid_response", Fault.ARM, retried=True)
UPSTREAM_ERROR = Cause("upstream_error", Fault.ARM, retried=True)
NO_MODEL = Cause("no_model", Fault.ARM)
UPSTREAM_AUTH = Cause("upstream_auth", Fault.ARM)
RATE_LIMITED = Cause("rate_limited", Fault.NOBODY, retried=True)
QUEUE_FULL = Cause("queue_full", Fault.NOBODY, tried=False)
BREAKER_OPEN = Cause("breaker_open", Fault.NOBODY, tried=False)
CONTEXT_LENGTH = Cause("context_length", Fault.CLIENT, tried=False)
UNSUPPORTED = Cause("unsupported", Fault.CLIENT, tried=False)
INTERNAL_ERROR = Cause("internal_error", Fault.ROUTER)

CLIENT_STATUSES = frozenset({400, 409, 413, 415, 422})
"""Statuses that the request itself earned: another try or another arm would earn them too. Any other status of 4xx is the
arm's: its address, model, deployment, key and account are `router.yaml`'s, and no client can put them right."""


def timeout(limit: str) -> Cause:
    """A limit of `timeouts` ran out. Only a connection is worth a second try: a slow arm would be slow again."""
    return Cause(f"timeout_{limit}", Fault.ARM, retried=limit == "connect")


def http(status: int, earned: bool | None = None) -> Cause:
    """An HTTP status other than success that has no cause of its own.

    `earned`: whether the request earned it; None: as `CLIENT_STATUSES` says.
    """
    label = f"http_{status}"
    if status in CLIENT_STATUSES if earned is None else earned:
        return Cause(label, Fault.CLIENT, falls_back=False)
    return Cause(label, Fault.ARM, retried=status >= 500 or status == 408)


@dataclass(frozen=True, slots=True)
class OpenAIError:
    """OpenAI's error object with its HTTP status: all that a client is told of a failure.

    Its texts may be an upstream's: they are bounded here, so that headers, logs and records can hold every error.
    """

    message: str
    status: int = 502
    type: str = "api_error"
    code: str | None = None
    param: str | None = None
    retry_after: float | None = None  # seconds

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", bounded(self.message, MAX_MESSAGE))
        for name in ("type", "code", "param"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, bounded(value, MAX_LABEL))

    def json(self) -> bytes:
        """`{"error": {…}}`; all four keys, always."""
        fields = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return dump({"error": fields})


@dataclass(frozen=True, slots=True)
class Attempt:
    """An arm that was asked, or passed over, without giving the answer."""

    arm: str
    cause: Cause
    error: OpenAIError | None = None  # None: passed over, or its answer wasn't good enough for a cascade

    def __str__(self) -> str:
        """As headers, records and logs have it."""
        return f"{self.arm}:{self.cause}"
