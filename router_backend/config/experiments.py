"""`experiments:` and `shadows:` further policies beside the one under `policy:`."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from router_backend.config.base import Section
from router_backend.config.policy import PolicyConfig


class Experiment(Section):
    """One arm of an A/B test of policies, by stable hash of the session."""

    name: Annotated[str, Field(min_length=1, description="in `x-router-policy`, logs and metrics; no other policy's")]
    share: Annotated[float, Field(gt=0, le=1, description="share of the sessions")]
    policy: Annotated[PolicyConfig, Field(description="the policy that decides for them")]

    example: ClassVar[str] = "{name: wider, share: 0.1, policy: {name: linucb, alpha: 0.6}}"


class ShadowPolicy(Section):
    """A policy whose choice is logged for each decision; it is served only to a request that names it."""

    name: Annotated[str, Field(min_length=1, description="in `x-router-policy`, logs and metrics; no other policy's")]
    policy: Annotated[PolicyConfig, Field(description="the policy that is asked")]

    example: ClassVar[str] = "{name: task-table, policy: {name: task}}"
