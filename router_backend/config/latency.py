"""`latency:` what waiting is worth, and how long it may be."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from router_backend.config.base import Section


class LatencyConfig(Section):
    """What the gateway measures of its models' speed counts in the choice. Off by default."""

    usd_per_second: Annotated[
        float,
        Field(
            ge=0,
            description="what a second until the whole answer is worth; it is added to an arm's cost where the score is made,"
            " and not to what is spent. Needs a reward that puts a price on cost: `difference` or `budget`",
        ),
    ] = 0.0
    slo_ttft_ms: Annotated[
        float | None,
        Field(
            gt=0,
            description="arms that are expected to be later with their first token are no candidates; the fastest one stays",
        ),
    ] = None

    example: ClassVar[str] = "{usd_per_second: 0.0005, slo_ttft_ms: 2000}"

    @property
    def counts(self) -> bool:
        """Whether anything has to be measured."""
        return self.usd_per_second > 0 or self.slo_ttft_ms is not None
