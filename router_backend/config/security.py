"""API keys, scopes and TLS of the gateway."""

from __future__ import annotations

import unicodedata
from datetime import date
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from router_backend.config.base import Mistake, Section
from router_backend.core.records import JUDGE

Scope = Literal["chat", "feedback", "feedback_any", "policy", "admin"]


_CONTROLS = frozenset({"Cc", "Zl", "Zp", "Cs"})  # general categories of Unicode (its standard, section 4.5)


def _one_line(name: str) -> str:
    """Names stand in lines of logs, tables and files."""
    if any(unicodedata.category(sign) in _CONTROLS for sign in name):
        raise ValueError("has a line break or another control character; give it a name that stands on one line")
    return name


def _nobody_else(name: str) -> str:
    if name == JUDGE:
        raise ValueError("is the name under which judgements are paid for; choose another one")
    return name


class ApiKey(Section):
    """A key by its hash; `llm-router keys new NAME` makes one."""

    name: Annotated[
        str,
        Field(min_length=1, description="in logs, metrics and budgets; not `(judge)`"),
        AfterValidator(_one_line),
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
    tokens_per_minute: Annotated[
        int | None,
        Field(gt=0, description="of prompts and answers; beyond it requests are refused; default: no limit"),
    ] = None
    feedback_per_minute: Annotated[int | None, Field(gt=0, description="more is refused; default: no limit")] = None
    group: Annotated[str | None, Field(description="one of `groups`, whose limits its keys share")] = None
    usd_per_day: Annotated[float | None, Field(gt=0, description="spend in a UTC day; default: no limit")] = None
    usd_per_month: Annotated[float | None, Field(gt=0, description="spend in a UTC month; default: no limit")] = None
    expires: Annotated[date | None, Field(description="last day that it is valid, in UTC; default: no end")] = None

    example: ClassVar[str] = """\
name: search-team
sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
scopes: [chat, feedback]
requests_per_minute: 600
usd_per_day: 25
"""


class KeyGroup(Section):
    """Limits that several keys share, such as those of a team, in addition to each key's own."""

    name: Annotated[str, Field(min_length=1, description="the name that keys use"), AfterValidator(_one_line)]
    requests_per_minute: Annotated[
        int | None, Field(gt=0, description="of all its keys together; default: no limit")
    ] = None
    tokens_per_minute: Annotated[int | None, Field(gt=0, description="of all its keys together; default: no limit")] = (
        None
    )

    example: ClassVar[str] = "{name: search, requests_per_minute: 3000, tokens_per_minute: 2000000}"


class Tls(Section):
    """Files in PEM form."""

    certificate: Annotated[str, Field(description="the certificate and its chain")]
    key: Annotated[str, Field(description="the private key")]

    example: ClassVar[str] = "{certificate: /etc/llm-router/tls.crt, key: /etc/llm-router/tls.key}"


class SecurityConfig(Section):
    """Without keys the gateway serves loopback addresses only."""

    api_keys: Annotated[list[ApiKey], Field(description="who may call")] = []
    groups: Annotated[list[KeyGroup], Field(description="teams: limits that keys share")] = []
    tls: Annotated[Tls | None, Field(description="default: plain HTTP")] = None

    example: ClassVar[str] = """\
api_keys:
  - {name: search-team, sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}
tls: {certificate: /etc/llm-router/tls.crt, key: /etc/llm-router/tls.key}
"""

    @model_validator(mode="after")
    def _groups_agree(self) -> SecurityConfig:
        names = [group.name for group in self.groups]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise Mistake(f"group {name!r} is listed twice; give each group its own name", "groups", index, "name")
        for index, key in enumerate(self.api_keys):
            if key.group is not None and key.group not in names:
                known = ", ".join(names) or "there are none"
                raise Mistake(
                    f"names the group {key.group!r}, which is not under groups ({known})", "api_keys", index, "group"
                )
        return self
