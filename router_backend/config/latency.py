"""`latency:` what waiting is worth, and how long it may be."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from router_backend.config.base import Section


class LatencyConfig(Section):
    """Lets the models' measured speed count in the choice. Off by default."""

    usd_per_second: Annotated[
        float,
        Field(
            ge=0,
            description="value of a second until the whole answer; added to an arm's cost in the score, not to the"
            " spending. Needs a reward that prices cost: `difference` or `budget`",
        ),
    ] = 0.0
    slo_ttft_ms: Annotated[
        float | None,
        Field(
            gt=0,
            description="arms whose first token is expected later are no candidates; the fastest arm stays",
        ),
    ] = None

    example: ClassVar[str] = "{usd_per_second: 0.0005, slo_ttft_ms: 2000}"

    @property
    def counts(self) -> bool:
        """Whether anything has to be measured."""
        return self.usd_per_second > 0 or self.slo_ttft_ms is not None
