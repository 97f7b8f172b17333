"""What every section of `router.yaml` shares: unknown keys are refused, values are immutable."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A mapping in `router.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
