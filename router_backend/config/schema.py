"""The root of `router.yaml`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, model_validator

from router_backend.config.base import Section
from router_backend.config.limits import Breaker, GatewayConfig, Retries, RoutingLimits, Timeouts
from router_backend.config.models import ModelConfig
from router_backend.config.policy import Experiment, ImplicitSignals, PolicyConfig, ShadowPolicy
from router_backend.config.security import SecurityConfig


class Telemetry(Section):
    """OpenTelemetry traces; off unless an endpoint is given."""

    otlp_endpoint: str | None = None


class RouterConfig(Section):
    """All that a deployment decides. Names are public: they are added to, never renamed."""

    version: Literal[1]
    models: Annotated[list[ModelConfig], Field(min_length=1)]
    default_model: Annotated[str, Field(description="taken when routing fails")]
    policy: PolicyConfig = PolicyConfig()
    experiments: Annotated[list[Experiment], Field(description="A/B; the rest of the sessions use `policy`")] = []
    shadows: list[ShadowPolicy] = []
    implicit: ImplicitSignals = ImplicitSignals()
    state: Annotated[str, Field(pattern=r"^(sqlite:///|rediss?://|unix://)")] = "sqlite:///state.db"
    retention_days: Annotated[float, Field(gt=0, description="how long decisions are kept; what was learned stays")] = (
        90
    )
    timeouts: Timeouts = Timeouts()
    retries: Retries = Retries()
    breaker: Breaker = Breaker()
    routing: RoutingLimits = RoutingLimits()
    gateway: GatewayConfig = GatewayConfig()
    security: SecurityConfig = SecurityConfig()
    telemetry: Telemetry = Telemetry()

    def model(self, name: str) -> ModelConfig:
        """The model of that name; KeyError if there is none."""
        return next(model for model in self.models if model.name == name) if name in self.names else _missing(name)

    @property
    def names(self) -> tuple[str, ...]:
        """Arm names in the file's order, which is the order of `scores`."""
        return tuple(model.name for model in self.models)

    def policies(self) -> Iterable[PolicyConfig]:
        """Every policy that the file configures."""
        yield self.policy
        yield from (experiment.policy for experiment in self.experiments)
        yield from (shadow.policy for shadow in self.shadows)

    def named_policies(self) -> dict[str, PolicyConfig]:
        """Every policy that a request may name: "" and its own name for `policy:`, an experiment's or a shadow's name else."""
        shadows = {shadow.name: shadow.policy for shadow in self.shadows}
        experiments = {experiment.name: experiment.policy for experiment in self.experiments}
        return {"": self.policy, self.policy.name: self.policy, **shadows, **experiments}

    @model_validator(mode="after")
    def _names_agree(self) -> RouterConfig:
        names = self.names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"model {twice[0]!r} is listed twice; give each arm its own name")
        for where, name in self._references():
            if name not in names:
                raise ValueError(f"{where} names {name!r}, which is not under models ({', '.join(names)})")
        if sum(experiment.share for experiment in self.experiments) > 1:
            raise ValueError("the shares of experiments add up to more than 1")
        if sum(model.share.min for model in self.models) > 1:
            raise ValueError("the minimum shares of models add up to more than 1")
        return self

    def _references(self) -> Iterable[tuple[str, str]]:
        yield "default_model", self.default_model
        for policy in self.policies():
            for task, rule in policy.table.items():
                if isinstance(rule, str):
                    yield f"policy.table.{task}", rule
                else:
                    yield from ((f"policy.table.{task}", name) for name in (rule.model, *rule.below, *rule.above))
            yield from (("policy.thresholds", name) for name in policy.thresholds)
            yield from (("policy.cascade", name) for name in policy.cascade.order)
            for field in (policy.strong, policy.weak, policy.model, policy.cascade.judge):
                if field is not None:
                    yield "policy", field


def _missing(name: str) -> ModelConfig:
    raise KeyError(name)
