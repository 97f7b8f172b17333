"""The root of `router.yaml`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from router_backend.config.base import Mistake, OwnTask, Section
from router_backend.config.batches import BatchesConfig
from router_backend.config.discovery import Discovery
from router_backend.config.experiments import Experiment, ShadowPolicy
from router_backend.config.judge import JudgeConfig
from router_backend.config.latency import LatencyConfig
from router_backend.config.limits import Breaker, GatewayConfig, Retries, RoutingConfig, Timeouts
from router_backend.config.models import ModelConfig
from router_backend.config.policy import (
    BinaryPolicyConfig,
    CascadePolicyConfig,
    ComplexityPolicyConfig,
    FixedPolicyConfig,
    LearningPolicyConfig,
    LinearPolicyConfig,
    LinUCBPolicyConfig,
    PolicyConfig,
    TaskPolicyConfig,
)
from router_backend.config.responses import ResponsesConfig
from router_backend.config.reward import PricedRewardConfig
from router_backend.config.security import SecurityConfig
from router_backend.config.signals import ImplicitSignals
from router_backend.contract import TASK_PLACES, TASKS

Location = tuple[int | str, ...]


class Telemetry(Section):
    """Traces and metrics for other systems; off unless they are named."""

    otlp_endpoint: Annotated[str | None, Field(description="endpoint for traces (OTLP over HTTP)")] = None
    cloudwatch_namespace: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9._/#-]{1,255}$",
            description="namespace of the metrics in the access log's lines, which CloudWatch Logs extracts",
        ),
    ] = None

    example: ClassVar[str] = '{otlp_endpoint: "http://otel-collector:4318"}'


class RouterConfig(Section):
    """All settings of a deployment. Names are public: new ones are added, but none is renamed."""

    version: Annotated[Literal[1], Field(description="version of this schema")]
    models: Annotated[list[ModelConfig], Field(min_length=1, description="the arms, in the order of `scores`")]
    discover: Annotated[
        list[Discovery], Field(description="servers whose models are offered by name, beside `models`")
    ] = []
    default_model: Annotated[str, Field(description="used when routing fails")]
    tasks: Annotated[
        list[OwnTask],
        Field(
            max_length=2 * TASK_PLACES,
            description="tasks of your own classifiers (`llm-router train --taxonomy`); this file and feedback may then"
            " name them besides the twelve",
        ),
    ] = []
    policy: Annotated[PolicyConfig, Field(description="chooses the model")] = LinUCBPolicyConfig()
    experiments: Annotated[list[Experiment], Field(description="A/B; the rest of the sessions use `policy`")] = []
    shadows: Annotated[
        list[ShadowPolicy], Field(description="policies whose choice is logged; served to requests that name them")
    ] = []
    implicit: Annotated[ImplicitSignals, Field(description="scores that signals give")] = ImplicitSignals()
    judge: Annotated[JudgeConfig, Field(description="a model that grades answers in the background")] = JudgeConfig()
    latency: Annotated[LatencyConfig, Field(description="how latency counts")] = LatencyConfig()
    state: Annotated[
        str,
        Field(
            pattern=r"^(sqlite:///|rediss?://|unix://|dynamodb://)",
            description="store of decisions and of what is learned: `sqlite:///` and a path (relative to the state folder),"
            " or for several replicas `redis://`, `rediss://`, `unix://` or `dynamodb://TABLE?region=…`",
        ),
    ] = "sqlite:///state.db"
    archive: Annotated[
        str | None,
        Field(
            min_length=1,
            description="where decisions, outcomes, feedback and observations go as Parquet: a folder (relative to the state"
            " folder) or a bucket, `s3://`, `gs://` or `abfs://`; not kept if empty",
        ),
    ] = None
    retention_days: Annotated[
        float, Field(gt=0, description="how long decisions are kept in the store; with an `archive` 7 unless given")
    ] = 90
    responses: Annotated[ResponsesConfig, Field(description="stored answers of the Responses API")] = ResponsesConfig()
    batches: Annotated[BatchesConfig, Field(description="batches: files of requests that may take a day")] = (
        BatchesConfig()
    )
    timeouts: Annotated[Timeouts, Field(description="time limits of an answer")] = Timeouts()
    retries: Annotated[Retries, Field(description="further calls after a failure")] = Retries()
    breaker: Annotated[Breaker, Field(description="pauses for an upstream that fails")] = Breaker()
    routing: Annotated[RoutingConfig, Field(description="who decides, and its limits")] = RoutingConfig()
    gateway: Annotated[GatewayConfig, Field(description="the HTTP server")] = GatewayConfig()
    security: Annotated[SecurityConfig, Field(description="API keys and TLS")] = SecurityConfig()
    telemetry: Annotated[Telemetry, Field(description="traces, and metrics in CloudWatch")] = Telemetry()

    example: ClassVar[str] = """\
version: 1
models:
  - name: llama3-8b
    upstream: {kind: openai, base_url: "http://nim-llama3-8b:8000/v1", model: meta/llama3-8b-instruct}
    price: {input: 0.03, output: 0.06}
    context_window: 8192
    capabilities: [tools, json]
  - name: llama3-70b
    upstream: {kind: openai, base_url: "http://nim-llama3-70b:8000/v1", model: meta/llama3-70b-instruct}
    price: {input: 0.59, output: 0.79}
    context_window: 8192
default_model: llama3-8b
policy: {name: linucb, alpha: 0.3, reward: {name: difference, lambda: 0.2}}
state: "redis://valkey:6379/0"
"""

    def model(self, name: str) -> ModelConfig:
        """The model of that name; KeyError if there is none."""
        return next(model for model in self.models if model.name == name) if name in self.names else _missing(name)

    @property
    def names(self) -> tuple[str, ...]:
        """Arm names in the file's order, which is the order of `scores`."""
        return tuple(model.name for model in self.models)

    @property
    def known_tasks(self) -> tuple[str, ...]:
        """Tasks that this file and feedback may name."""
        return (*TASKS, *(task for task in self.tasks if task not in TASKS))

    def named_policies(self) -> dict[str, PolicyConfig]:
        """Every policy that a request may name: "" and its own name for `policy:`, an experiment's or a shadow's name else."""
        shadows = {shadow.name: shadow.policy for shadow in self.shadows}
        experiments = {experiment.name: experiment.policy for experiment in self.experiments}
        return {"": self.policy, self.policy.name: self.policy, **shadows, **experiments}

    @model_validator(mode="before")
    @classmethod
    def _days_with_an_archive(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("archive") and "retention_days" not in data:
            return {**data, "retention_days": 7.0}
        return data

    @model_validator(mode="after")
    def _names_agree(self) -> RouterConfig:
        names = self.names
        for index, name in enumerate(names):
            if name in names[:index]:
                raise Mistake(f"model {name!r} is listed twice; give each arm its own name", "models", index, "name")
        for index, task in enumerate(self.tasks):
            if task in self.tasks[:index]:
                raise Mistake(f"the task {task!r} is listed twice; keep one", "tasks", index)
        for loc, name in self._references():
            if name not in names:
                raise Mistake(f"names {name!r}, which is not under models ({', '.join(names)})", *loc)
        taken: dict[str, str] = {self.policy.name: "policy"}
        for section in ("experiments", "shadows"):
            others: Sequence[Experiment | ShadowPolicy] = getattr(self, section)
            for index, other in enumerate(others):
                if other.name in taken:
                    raise Mistake(
                        f"{other.name!r} is the name of {taken[other.name]} too, and a request that names it could mean"
                        " either; give each policy its own name",
                        section,
                        index,
                        "name",
                    )
                taken[other.name] = f"{section}[{index}]"
        return self

    @model_validator(mode="after")
    def _shares_add_up(self) -> RouterConfig:
        if sum(experiment.share for experiment in self.experiments) > 1 + 1e-9:
            raise Mistake("the shares of experiments add up to more than 1", "experiments")
        if sum(model.share.min for model in self.models) > 1 + 1e-9:
            raise Mistake("the minimum shares of models add up to more than 1", "models")
        return self

    @model_validator(mode="after")
    def _time_has_a_price(self) -> RouterConfig:
        if self.latency.usd_per_second and not (
            self.policy.rewarded and isinstance(self.policy.reward, PricedRewardConfig)
        ):
            raise Mistake(
                f"policy {self.policy.name!r} with reward {self.policy.reward.name!r} puts no price on cost, so a second can have"
                " none; take a learning policy with the reward difference or budget, or set slo_ttft_ms instead",
                "latency",
                "usd_per_second",
            )
        return self

    def _references(self) -> Iterator[tuple[Location, str]]:
        """Every place that names a model, and the name."""
        yield ("default_model",), self.default_model
        yield from ((("judge", "models", index), name) for index, name in enumerate(self.judge.models))
        if self.judge.pairs.reference is not None:
            yield ("judge", "pairs", "reference"), self.judge.pairs.reference
        yield from _models_of(self.policy, ("policy",))
        for section in ("experiments", "shadows"):
            for index, other in enumerate(getattr(self, section)):
                yield from _models_of(other.policy, (section, index, "policy"))


def _models_of(policy: PolicyConfig, loc: Location) -> Iterator[tuple[Location, str]]:
    if isinstance(policy, LinearPolicyConfig | TaskPolicyConfig):
        for task, rule in policy.table.items():
            if isinstance(rule, str):
                yield (*loc, "table", task), rule
            else:
                yield (*loc, "table", task, "model"), rule.model
                yield from (((*loc, "table", task, "below", name), name) for name in rule.below)
                yield from (((*loc, "table", task, "above", name), name) for name in rule.above)
    if isinstance(policy, LearningPolicyConfig) and policy.guard is not None and policy.guard.reference is not None:
        yield (*loc, "guard", "reference"), policy.guard.reference
    single: dict[Location, str | None] = {}
    if isinstance(policy, ComplexityPolicyConfig):
        yield from (((*loc, "thresholds", name), name) for name in policy.thresholds)
    elif isinstance(policy, CascadePolicyConfig):
        yield from (((*loc, "cascade", "order", index), name) for index, name in enumerate(policy.cascade.order))
        single = {(*loc, "cascade", "judge"): policy.cascade.judge}
    elif isinstance(policy, BinaryPolicyConfig):
        single = {(*loc, "strong"): policy.strong, (*loc, "weak"): policy.weak}
    elif isinstance(policy, FixedPolicyConfig):
        single = {(*loc, "model"): policy.model}
    yield from ((place, name) for place, name in single.items() if name is not None)


def _missing(name: str) -> ModelConfig:
    raise KeyError(name)
