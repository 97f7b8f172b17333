"""`policy:` how an arm is chosen, one section for each policy: a setting that a policy doesn't have is a mistake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import AfterValidator, Field, TypeAdapter, model_validator

from router_backend.config.base import OWN_TASKS, Mistake, Section, TaskName, by_name, named, variant
from router_backend.config.reward import DifferenceRewardConfig, RewardConfig
from router_backend.contract import COMPONENT_CHOICES, EMBEDDING_DIM

PolicyName = Literal[
    "linucb",
    "lints",
    "ucb1",
    "thompson",
    "epsilon_greedy",
    "task",
    "complexity",
    "binary",
    "cascade",
    "fixed",
    "random",
]

Fraction = Annotated[float, Field(ge=0, le=1)]
Width = Annotated[float, Field(ge=0, description="width of the confidence bound")]


def _components(value: int) -> int:
    if value not in COMPONENT_CHOICES:
        raise ValueError(f"components is one of {', '.join(map(str, COMPONENT_CHOICES))}")
    return value


class TaskRule(Section):
    """One row of the task table: the model, and where complexity moves it."""

    model: Annotated[str, Field(description="used, unless complexity changes it")]
    below: Annotated[dict[str, Fraction], Field(description="model: complexity below which it is used instead")] = {}
    above: Annotated[dict[str, Fraction], Field(description="model: complexity above which it is used instead")] = {}

    example: ClassVar[str] = "{model: llama3-70b, above: {nemotron-49b: 0.5}}"


Table = dict[TaskName, str | TaskRule]


class CascadeConfig(Section):
    """FrugalGPT's cascade (Chen et al. 2023): the cheap model first, the next one if the scorer's grade is too low."""

    order: Annotated[list[str], Field(description="arms, cheapest first; default: by price")] = []
    scorer: Annotated[
        Literal["heuristic", "logprob", "judge"],
        Field(description="grades an answer: by its form, by its tokens' probabilities, or by another model"),
    ] = "heuristic"
    threshold: Annotated[Fraction, Field(description="grade that an answer needs, or the next arm is asked")] = 0.5
    judge: Annotated[str | None, Field(description="`judge`: the arm that grades answers")] = None

    example: ClassVar[str] = "{order: [llama3-8b, nemotron-49b], scorer: logprob, threshold: 0.6}"

    @model_validator(mode="after")
    def _judge_is_asked(self) -> CascadeConfig:
        if self.judge is not None and self.scorer != "judge":
            raise Mistake(f"the scorer `{self.scorer}` asks no judge; delete it, or set scorer: judge", "judge")
        if self.judge is None and self.scorer == "judge":
            raise Mistake("the scorer `judge` needs a model that grades answers; name it with `judge`", "scorer")
        return self


class BasePolicyConfig(Section):
    """What all policies share."""

    name: str = ""
    reward: Annotated[RewardConfig, Field(description="what an arm is rewarded for")] = DifferenceRewardConfig()

    rewarded: ClassVar[bool] = False
    """Whether its values are rewards."""


class LoopConfig(Section):
    """When the model changes within an agent's loop over tools."""

    confidence: Annotated[
        float,
        Field(
            ge=0,
            allow_inf_nan=False,
            description="standard errors by which another model's reward must be better, for a change within a loop",
        ),
    ] = 0.05
    steps: Annotated[
        float,
        Field(
            ge=0,
            le=1000,
            description="expected further steps after a request with tools, for which the session's model is planned; 0:"
            " each step is decided by itself",
        ),
    ] = 30.0

    example: ClassVar[str] = "{confidence: 1, steps: 20}"


class RankingPolicyConfig(BasePolicyConfig):
    """What the policies share that prefer one arm to another."""

    min_confidence: Annotated[Fraction, Field(description="task confidence below which the default model is used")] = (
        0.0
    )
    switch_penalty: Annotated[
        float, Field(ge=0, description="score subtracted from arms other than the session's last")
    ] = 0.0
    loop: Annotated[LoopConfig, Field(description="agents' loops over tools")] = LoopConfig()


class ExploringPolicyConfig(RankingPolicyConfig):
    """What the policies share that explore."""

    epsilon: Annotated[Fraction, Field(description="floor: each candidate gets at least epsilon/candidates")] = 0.02


class ChangeConfig(Section):
    """Detects a different model behind the same name, by the errors of its predictions."""

    false_alarm: Annotated[
        Fraction,
        Field(description="probability that an unchanged model is ever reported as changed; 0: detection is off"),
    ] = 0.1
    keep: Annotated[
        float,
        Field(ge=0, allow_inf_nan=False, description="observations that earlier knowledge counts for afterwards"),
    ] = 50.0

    example: ClassVar[str] = "{false_alarm: 0.05, keep: 20}"


class GuardConfig(Section):
    """Never worse than not routing: the reference model, unless another one is surely better."""

    reference: Annotated[str | None, Field(description="the model used otherwise; default: `default_model`")] = None
    confidence: Annotated[
        float,
        Field(ge=0, allow_inf_nan=False, description="standard errors by which another model's reward must be better"),
    ] = 0.5

    example: ClassVar[str] = "{reference: llama3-70b, confidence: 1}"


class LearningPolicyConfig(ExploringPolicyConfig):
    """What the policies share that learn from feedback."""

    new_share: Annotated[
        Fraction,
        Field(
            description="exploration floor of all new arms together, if higher than epsilon's; up to 0.2 where the other arms are well known"
        ),
    ] = 0.05
    new_until: Annotated[
        float, Field(ge=0, allow_inf_nan=True, description="observations after which an arm isn't new")
    ] = 30.0
    initial_quality: Annotated[
        Fraction, Field(description="expected quality of an arm before anything is known about it")
    ] = 0.5
    discount_per_day: Annotated[float, Field(gt=0, le=1, description="weight that evidence keeps after a day")] = 1.0
    change: Annotated[ChangeConfig, Field(description="detection of changed models")] = ChangeConfig()
    guard: Annotated[
        GuardConfig | None,
        Field(description="departs from the reference model only where that surely pays; default: off"),
    ] = None
    prior: Annotated[str | None, Field(description="a file written by `llm-router bootstrap`")] = None
    prior_weight: Annotated[
        float, Field(ge=0, allow_inf_nan=True, description="observations that a prior counts for at most, per arm")
    ] = 50.0

    rewarded: ClassVar[bool] = True


class LinearPolicyConfig(LearningPolicyConfig):
    """What the policies share that learn a regression on the context."""

    components: Annotated[
        int, AfterValidator(_components), Field(description="components of the embedding in the context: 32, 64 or 128")
    ] = EMBEDDING_DIM
    ridge: Annotated[float, Field(gt=0, description="weight of the prior (the ridge penalty)")] = 1.0
    table: Annotated[Table, Field(description="task to model: the starting point of learning")] = {}


class LinUCBPolicyConfig(LinearPolicyConfig):
    """LinUCB (Li et al. 2010): the best upper confidence bound of a regression on the context. The default."""

    name: Annotated[Literal["linucb"], Field(description="chooses this policy")] = "linucb"
    alpha: Width = 0.3

    example: ClassVar[str] = (
        "{name: linucb, alpha: 0.3, epsilon: 0.02, components: 128, reward: {name: difference, lambda: 0.2}}"
    )


class LinTSPolicyConfig(LinearPolicyConfig):
    """Linear Thompson sampling (Agrawal and Goyal 2013): as `linucb`, with quality drawn instead of bounded."""

    name: Annotated[Literal["lints"], Field(description="chooses this policy")] = "lints"
    alpha: Annotated[float, Field(ge=0, description="standard deviations of the draw")] = 0.3

    example: ClassVar[str] = "{name: lints, alpha: 0.2}"


class BinaryPolicyConfig(LinearPolicyConfig):
    """RouteLLM's router (Ong et al. 2024): the strong model if it is likely enough to give the better answer."""

    name: Annotated[Literal["binary"], Field(description="chooses this policy")] = "binary"
    strong: Annotated[str | None, Field(description="the better model; default: the most expensive")] = None
    weak: Annotated[str | None, Field(description="the cheaper model; default: the cheapest")] = None
    threshold: Annotated[
        Fraction, Field(description="probability of a better answer above which the strong model is taken")
    ] = 0.5

    rewarded: ClassVar[bool] = False
    example: ClassVar[str] = "{name: binary, strong: nemotron-49b, weak: llama3-8b, threshold: 0.6}"


class UCB1PolicyConfig(LearningPolicyConfig):
    """UCB1 (Auer et al. 2002): the best upper confidence bound of mean quality, whatever the prompt."""

    name: Annotated[Literal["ucb1"], Field(description="chooses this policy")] = "ucb1"
    alpha: Width = 0.3

    example: ClassVar[str] = "{name: ucb1, alpha: 0.5}"


class ThompsonPolicyConfig(LearningPolicyConfig):
    """Thompson sampling (Agrawal and Goyal 2012): mean quality drawn from a Beta posterior, whatever the prompt."""

    name: Annotated[Literal["thompson"], Field(description="chooses this policy")] = "thompson"

    example: ClassVar[str] = "{name: thompson, discount_per_day: 0.98}"


class EpsilonGreedyPolicyConfig(LearningPolicyConfig):
    """The best mean so far, and with probability `epsilon` any candidate."""

    name: Annotated[Literal["epsilon_greedy"], Field(description="chooses this policy")] = "epsilon_greedy"

    example: ClassVar[str] = "{name: epsilon_greedy, epsilon: 0.1}"


class TaskPolicyConfig(ExploringPolicyConfig):
    """A table from task to model, adjusted by complexity. Without one, a default table by price."""

    name: Annotated[Literal["task"], Field(description="chooses this policy")] = "task"
    table: Annotated[Table, Field(description="task to model; tasks that it leaves out go to the default model")] = {}

    example: ClassVar[str] = "{name: task, table: {math: nemotron-49b, rewrite: llama3-8b}}"


class ComplexityPolicyConfig(ExploringPolicyConfig):
    """The model with the highest threshold that the complexity reaches. Without thresholds, equal steps by price."""

    name: Annotated[Literal["complexity"], Field(description="chooses this policy")] = "complexity"
    thresholds: Annotated[dict[str, Fraction], Field(description="model to the lowest complexity it takes")] = {}

    example: ClassVar[str] = "{name: complexity, thresholds: {llama3-8b: 0, nemotron-49b: 0.5}}"


class CascadePolicyConfig(ExploringPolicyConfig):
    """Cheap first; the next model is asked when a scorer isn't content with the answer."""

    name: Annotated[Literal["cascade"], Field(description="chooses this policy")] = "cascade"
    cascade: Annotated[CascadeConfig, Field(description="the order, and what makes it continue")] = CascadeConfig()

    example: ClassVar[str] = "{name: cascade, cascade: {scorer: logprob, threshold: 0.6}}"


class FixedPolicyConfig(RankingPolicyConfig):
    """Always one model. It doesn't explore."""

    name: Annotated[Literal["fixed"], Field(description="chooses this policy")] = "fixed"
    model: Annotated[str | None, Field(description="the model; default: `default_model`")] = None

    example: ClassVar[str] = "{name: fixed, model: llama3-70b}"


class RandomPolicyConfig(BasePolicyConfig):
    """Chooses each candidate with the same probability. Its log can be used to judge all other policies."""

    name: Annotated[Literal["random"], Field(description="chooses this policy")] = "random"

    example: ClassVar[str] = "{name: random}"


PolicyConfig = Annotated[
    Annotated[LinUCBPolicyConfig, variant("linucb")]
    | Annotated[LinTSPolicyConfig, variant("lints")]
    | Annotated[UCB1PolicyConfig, variant("ucb1")]
    | Annotated[ThompsonPolicyConfig, variant("thompson")]
    | Annotated[EpsilonGreedyPolicyConfig, variant("epsilon_greedy")]
    | Annotated[TaskPolicyConfig, variant("task")]
    | Annotated[ComplexityPolicyConfig, variant("complexity")]
    | Annotated[BinaryPolicyConfig, variant("binary")]
    | Annotated[CascadePolicyConfig, variant("cascade")]
    | Annotated[FixedPolicyConfig, variant("fixed")]
    | Annotated[RandomPolicyConfig, variant("random")],
    by_name(),
    named("policy", "linucb", get_args(PolicyName)),
]

POLICY_SECTIONS: dict[str, type[BasePolicyConfig]] = {
    section.model_fields["name"].default: section
    for section in (
        LinUCBPolicyConfig,
        LinTSPolicyConfig,
        UCB1PolicyConfig,
        ThompsonPolicyConfig,
        EpsilonGreedyPolicyConfig,
        TaskPolicyConfig,
        ComplexityPolicyConfig,
        BinaryPolicyConfig,
        CascadePolicyConfig,
        FixedPolicyConfig,
        RandomPolicyConfig,
    )
}

_ADAPTER: TypeAdapter[PolicyConfig] = TypeAdapter(PolicyConfig)


def policy_config(settings: Mapping[str, Any], own_tasks: Sequence[str] = ()) -> PolicyConfig:
    """A policy from its settings; pydantic's ValidationError if it has no such settings. `own_tasks`: that it may name beside the twelve."""
    return _ADAPTER.validate_python(settings, context={OWN_TASKS: own_tasks})
