"""`implicit:` what stands for a score when nobody gave one."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from router_backend.config.base import Section


class ImplicitSignals(Section):
    """Scores that a signal stands for when nobody gave a score; null: the signal teaches nothing."""

    upstream_error: Annotated[float | None, Field(ge=0, le=1, description="the upstream failed")] = 0.0
    truncated: Annotated[float | None, Field(ge=0, le=1, description="the answer ended at its token limit")] = None
    asked_again: Annotated[float | None, Field(ge=0, le=1, description="the same prompt again in a session")] = None
    grace_seconds: Annotated[
        float, Field(ge=0, description="a signal teaches after this long, unless somebody has given a score by then")
    ] = 3600.0

    example: ClassVar[str] = "{upstream_error: 0.0, truncated: 0.3, asked_again: 0.2, grace_seconds: 1800}"
