"""API keys, scopes and TLS of the gateway."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from router_backend.config.base import Section

Scope = Literal["chat", "feedback", "policy", "admin"]


class ApiKey(Section):
    """A key by its hash; `llm-router keys new NAME` makes one."""

    name: Annotated[str, Field(min_length=1)]
    sha256: Annotated[
        str, Field(pattern=r"^[0-9a-f]{64}$", description="hash of the key; the key itself is never stored")
    ]
    scopes: frozenset[Scope] = frozenset({"chat", "feedback"})
    requests_per_minute: Annotated[int | None, Field(gt=0)] = None
    feedback_per_minute: Annotated[int | None, Field(gt=0)] = None
    usd_per_day: Annotated[float | None, Field(gt=0, description="UTC days")] = None
    usd_per_month: Annotated[float | None, Field(gt=0, description="UTC months")] = None


class Tls(Section):
    """Files in PEM form."""

    certificate: str
    key: str


class SecurityConfig(Section):
    """Without keys the gateway serves loopback addresses only."""

    api_keys: list[ApiKey] = []
    tls: Tls | None = None
