"""API keys, scopes and TLS of the gateway."""

from __future__ import annotations

from datetime import date
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from router_backend.config.base import Section
from router_backend.core.records import JUDGE

Scope = Literal["chat", "feedback", "feedback_any", "policy", "admin"]


def _nobody_else(name: str) -> str:
    if name == JUDGE:
        raise ValueError("is the name under which judgements are paid for; choose another one")
    return name


class ApiKey(Section):
    """A key by its hash; `llm-router keys new NAME` makes one."""

    name: Annotated[
        str,
        Field(min_length=1, description="in logs, metrics and budgets; not `(judge)`"),
        AfterValidator(_nobody_else),
    ]
    sha256: Annotated[
        str, Field(pattern=r"^[0-9a-f]{64}$", description="hash of the key; the key itself is never stored")
    ]
    scopes: Annotated[
        frozenset[Scope],
        Field(
            description="what it may do; `feedback_any`: score answers that other keys were given, `policy`: name a policy of its own, `admin`: reload, and pages about others"
        ),
    ] = frozenset({"chat", "feedback"})
    requests_per_minute: Annotated[int | None, Field(gt=0, description="more are refused; default: no limit")] = None
    feedback_per_minute: Annotated[int | None, Field(gt=0, description="more is refused; default: no limit")] = None
    usd_per_day: Annotated[float | None, Field(gt=0, description="spend in a UTC day; default: no limit")] = None
    usd_per_month: Annotated[float | None, Field(gt=0, description="spend in a UTC month; default: no limit")] = None
    expires: Annotated[date | None, Field(description="last day that it is valid, in UTC; default: for ever")] = None

    example: ClassVar[str] = """\
name: search-team
sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
scopes: [chat, feedback]
requests_per_minute: 600
usd_per_day: 25
"""


class Tls(Section):
    """Files in PEM form."""

    certificate: Annotated[str, Field(description="the certificate and its chain")]
    key: Annotated[str, Field(description="the private key")]

    example: ClassVar[str] = "{certificate: /etc/llm-router/tls.crt, key: /etc/llm-router/tls.key}"


class SecurityConfig(Section):
    """Without keys the gateway serves loopback addresses only."""

    api_keys: Annotated[list[ApiKey], Field(description="who may call")] = []
    tls: Annotated[Tls | None, Field(description="default: plain HTTP")] = None

    example: ClassVar[str] = """\
api_keys:
  - {name: search-team, sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}
tls: {certificate: /etc/llm-router/tls.crt, key: /etc/llm-router/tls.key}
"""
