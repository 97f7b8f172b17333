"""`models:` the arms of the bandit, each a model with its upstream, price and options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from router_backend.config.base import Mistake, Section, TaskName

Api = Literal["chat", "responses", "messages"]
CachePlace = Literal["tools", "system", "messages"]
Capability = Literal["tools", "vision", "json", "logprobs", "embeddings"]


class OpenAIUpstream(Section):
    """A server with OpenAI's API: NIM, vLLM, or any compatible one."""

    kind: Annotated[Literal["openai"], Field(description="chooses this kind of upstream")]
    base_url: Annotated[str, Field(description="up to and including /v1", pattern=r"^https?://")]
    model: Annotated[str | None, Field(description="the upstream's own name of the model; default: the arm's name")] = (
        None
    )
    api_key_env: Annotated[str | None, Field(description="environment variable that holds the API key")] = None
    api_key_file: Annotated[str | None, Field(description="file that holds the API key (a mounted secret)")] = None
    headers: Annotated[dict[str, str], Field(description="extra request headers")] = {}
    apis: Annotated[
        frozenset[Api],
        Field(
            description="APIs that it speaks besides `chat`: requests of OpenAI's `responses` and Anthropic's `messages`"
            " are passed on unchanged, those of other APIs as chat. A model with `defaults`, which are chat's,"
            " gets all requests as chat"
        ),
    ] = frozenset({"chat"})
    cache_points: Annotated[
        frozenset[CachePlace],
        Field(
            description="where prompts are marked for the cache (`cache_control`), unless the client has set many marks"
            " itself: after `tools`, `system` and the last of `messages`; only for servers that accept the"
            " marks, such as those for Claude"
        ),
    ] = frozenset()
    stream_options: Annotated[
        bool,
        Field(
            description="false: the server refuses this field. The router then asks its streams for no usage, and streams"
            " only the answers that the client streams"
        ),
    ] = True

    example: ClassVar[str] = (
        '{kind: openai, base_url: "http://nim-llama3-8b:8000/v1", model: meta/llama3-8b-instruct, api_key_env: NIM_API_KEY}'
    )

    @model_validator(mode="after")
    def _speaks_chat(self) -> OpenAIUpstream:
        if "chat" not in self.apis:
            raise Mistake("chat is missing: what other APIs can't say, and cascades, need it", "apis")
        return self


class TensorRTLLMUpstream(Section):
    """A Triton server with TensorRT-LLM's models, called over gRPC ModelStreamInfer."""

    kind: Annotated[Literal["tensorrtllm"], Field(description="chooses this kind of upstream")]
    url: Annotated[str, Field(description="host:port of Triton's gRPC endpoint")]
    model: Annotated[str, Field(description="ensemble, tensorrt_llm_bls, or tensorrt_llm (LLM API)")] = "ensemble"
    tokenizer: Annotated[str, Field(description="tokenizer folder or Hugging Face name: its chat template is applied")]
    tls: Annotated[bool, Field(description="speak gRPC over TLS")] = False

    example: ClassVar[str] = (
        '{kind: tensorrtllm, url: "trtllm:8001", model: ensemble, tokenizer: meta-llama/Meta-Llama-3-70B-Instruct}'
    )


class BedrockUpstream(Section):
    """A model on Amazon Bedrock, called over Converse, with the credentials that AWS's own tools find (environment, files, role of
    the container or machine)."""

    kind: Annotated[Literal["bedrock"], Field(description="chooses this kind of upstream")]
    model: Annotated[
        str, Field(min_length=1, max_length=2048, description="id or ARN of a model or an inference profile")
    ]
    region: Annotated[
        str | None, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d+$", description="default: AWS_REGION, or the profile's")
    ] = None
    profile: Annotated[str | None, Field(description="of AWS's shared configuration files")] = None
    role_arn: Annotated[
        str | None,
        Field(
            pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$",
            description="role to assume with these credentials (STS), such as another account's; renewed before it expires",
        ),
    ] = None
    external_id: Annotated[
        str | None,
        Field(min_length=2, max_length=1224, description="external id that the role's trust policy requires"),
    ] = None
    endpoint_url: Annotated[
        str | None, Field(pattern=r"^https?://", description="URL of a VPC endpoint; default: the region's public one")
    ] = None
    cache_points: Annotated[
        frozenset[CachePlace],
        Field(
            description="where prompts are marked for the cache, in addition to the client's own marks: after `tools`,"
            " `system` and the last of `messages`; only for models that have a cache"
        ),
    ] = frozenset()
    request_fields: Annotated[
        dict[str, Any],
        Field(description="Converse's additionalModelRequestFields: the model's own, such as thinking with its budget"),
    ] = {}

    example: ClassVar[str] = (
        "{kind: bedrock, model: us.anthropic.claude-sonnet-4-5-20250929-v1:0, region: us-east-1,"
        " cache_points: [tools, system]}"
    )

    @model_validator(mode="after")
    def _id_of_a_role(self) -> BedrockUpstream:
        if self.external_id is not None and self.role_arn is None:
            raise Mistake("is for a role that is assumed: set role_arn", "external_id")
        return self


class LocalUpstream(Section):
    """The packaged small model, started by the launcher."""

    kind: Annotated[Literal["local"], Field(description="chooses this kind of upstream")]

    example: ClassVar[str] = "{kind: local}"


Upstream = Annotated[
    OpenAIUpstream | TensorRTLLMUpstream | BedrockUpstream | LocalUpstream, Field(discriminator="kind")
]


# Prompts are read about so many times as fast as answers are written.
_READS_FASTER = 10.0


class Price(Section):
    """USD per million tokens; or own GPUs: their hourly price and their throughput at full load."""

    input: Annotated[float, Field(ge=0, description="prompt tokens")]
    output: Annotated[float, Field(ge=0, description="tokens of the answer")]
    cached_input: Annotated[float | None, Field(ge=0, description="prompt-cache hits; default: input's price")] = None
    cache_write: Annotated[
        float | None, Field(ge=0, description="prompt tokens written to a cache; default: input's price")
    ] = None
    reasoning: Annotated[float | None, Field(ge=0, description="thinking tokens; default: output's price")] = None

    gpu_hour_usd: Annotated[
        float | None,
        Field(
            gt=0,
            description="USD per GPU and hour of own machines, instead of token prices. In the choice, the price is scaled by their load: "
            "zero while they have free places",
        ),
    ] = None
    gpus: Annotated[int, Field(gt=0, description="GPUs that serve the model, all its servers together")] = 1
    tokens_per_second: Annotated[
        float | None,
        Field(gt=0, description="answer tokens, over all requests together, when `max_concurrency` calls run"),
    ] = None
    prompt_tokens_per_second: Annotated[
        float | None, Field(gt=0, description="prompt tokens; default: ten times `tokens_per_second`")
    ] = None

    example: ClassVar[str] = "{input: 0.59, output: 0.79, cached_input: 0.30}"

    @model_validator(mode="before")
    @classmethod
    def _by_the_hour(cls, value: Any) -> Any:
        """Prices of tokens at full load, where the file names GPUs."""
        if not isinstance(value, Mapping) or value.get("gpu_hour_usd") is None:
            return value
        try:
            hour = float(value["gpu_hour_usd"]) * int(value.get("gpus", 1))
            speed = float(value["tokens_per_second"])
            reading = float(value.get("prompt_tokens_per_second") or _READS_FASTER * speed)
            per_million = 1e6 * hour / 3600.0
            prices = {"input": per_million / reading, "output": per_million / speed}
        except KeyError:
            raise Mistake(
                "gpu_hour_usd needs it: what the GPUs do decides what a token costs", "tokens_per_second"
            ) from None
        except (TypeError, ValueError, ZeroDivisionError):
            return value  # its own fields say what is wrong
        return {**prices, **value}

    @property
    def blended(self) -> float:
        """USD per million tokens, three of the prompt for one of the answer: the order of models by price."""
        return (3 * self.input + self.output) / 4


class BatchConfig(Section):
    """The upstream's own Batch API, at its price. Batch lines for this model go there instead of into idle capacity.
    `batch: true` uses the defaults. Bedrock's needs a bucket and a role that Bedrock assumes to use it (`place`, `role_arn`)."""

    price_share: Annotated[
        float, Field(ge=0, le=1, description="token price there, as a share of `price`; half at OpenAI")
    ] = 0.5
    wait_hours: Annotated[
        float,
        Field(
            gt=0,
            le=23,
            description="time that the upstream has after the batch was created; then its batch is cancelled, and the"
            " rest runs in idle capacity",
        ),
    ] = 20.0
    max_lines: Annotated[
        int, Field(gt=0, le=50_000, description="lines of one batch at the upstream; more lines go into another batch")
    ] = 10_000
    max_bytes: Annotated[
        int,
        Field(
            gt=0,
            le=200_000_000,
            description="bytes of its lines; one such batch is in memory while its answers are read",
        ),
    ] = 32_000_000

    min_lines: Annotated[
        int | None,
        Field(gt=0, description="fewer lines run in idle capacity; default: 1; on Bedrock 100, its minimum"),
    ] = None
    place: Annotated[
        str | None,
        Field(
            pattern=r"^s3://[a-z0-9][-.a-z0-9]{1,61}[a-z0-9](/[-!_*'().a-zA-Z0-9]+)*/?$",
            description="Bedrock only: `s3://bucket/prefix` in the model's region, where requests and answers are stored until the batch has ended",
        ),
    ] = None
    role_arn: Annotated[
        str | None,
        Field(
            pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$",
            description="Bedrock only: the service role with which a job reads and writes `place`",
        ),
    ] = None

    example: ClassVar[str] = "{price_share: 0.5, wait_hours: 12}"

    @model_validator(mode="after")
    def _lines_fit(self) -> BatchConfig:
        if self.min_lines is not None and self.min_lines > self.max_lines:
            raise Mistake(f"{self.min_lines} lines at least are more than max_lines, {self.max_lines}", "min_lines")
        return self


def _switched_on(value: Any) -> Any:
    return {True: {}, False: None}[value] if isinstance(value, bool) else value


class Share(Section):
    """Limits of an arm's share of the routed requests."""

    min: Annotated[float, Field(ge=0, le=1, description="at least this share")] = 0.0
    max: Annotated[float, Field(ge=0, le=1, description="at most this share")] = 1.0

    example: ClassVar[str] = "{min: 0.05, max: 0.4}"

    @model_validator(mode="after")
    def _is_a_range(self) -> Share:
        if self.min > self.max:
            raise Mistake(f"the smallest share, {self.min:g}, is over the largest, {self.max:g}", "min")
        return self


_ABLE: Mapping[str, frozenset[str]] = {
    "tensorrtllm": frozenset({"json"}),
    "bedrock": frozenset({"tools", "vision", "json"}),
}
"""What an upstream of a kind can do at all, whatever model is behind it."""


_BEDROCK_LINES = 100
"""Of a job at least: its quota "Minimum number of records per batch inference job" of all models."""
_BATCHED_ARN = re.compile(
    r"arn:aws(-[^:]+)?:bedrock:[a-z0-9-]+:(\d{12}:(custom-model|inference-profile|application-inference-profile)|:foundation-model)/.+"
)


class ModelConfig(Section):
    """One arm. One model with thinking on and off is two arms."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$",
            description="the arm's name in requests; not `auto`, which asks for routing",
        ),
    ]
    upstream: Annotated[Upstream, Field(description="the server behind it")]
    revision: Annotated[
        str,
        Field(
            max_length=200,
            description="change it when another model answers under this name: what was learned then becomes a weak"
            " prior; default: the upstream's model id and system_fingerprint",
        ),
    ] = ""
    price: Annotated[Price, Field(description="token prices")]
    batch: Annotated[
        BatchConfig | None,
        BeforeValidator(_switched_on),
        Field(description="Batch API of its upstream (kind `openai` or `bedrock`), for batch lines; off if empty"),
    ] = None
    context_window: Annotated[int, Field(gt=0, description="tokens, prompt and answer together")]
    capabilities: Annotated[
        frozenset[Capability], Field(description="a request that needs one not listed goes to another arm")
    ] = frozenset()
    defaults: Annotated[
        dict[str, Any],
        Field(description="request fields set when the client leaves them out (thinking, reasoning_effort)"),
    ] = {}
    system_prompt: Annotated[
        str | None,
        Field(
            description="placed before the conversation's own system prompt; Nemotron: `detailed thinking on` or `off`"
        ),
    ] = None
    max_tokens_by_task: Annotated[
        dict[TaskName, Annotated[int, Field(gt=0)]],
        Field(description="cap of max_tokens per task, for routed requests"),
    ] = {}
    benchmarks: Annotated[
        dict[Literal["en", "ja"], dict[TaskName, Annotated[float, Field(ge=0, le=1)]]],
        Field(
            description="published scores by task, for Japanese prompts (`ja`) and others (`en`): the prior until there are"
            " observations; all models' scores for a task must come from one benchmark"
        ),
    ] = {}
    share: Annotated[Share, Field(description="limits of its share of the traffic")] = Share()
    max_cost_usd: Annotated[
        float | None, Field(gt=0, description="the arm isn't a candidate if its expected cost is higher")
    ] = None
    max_concurrency: Annotated[
        int, Field(gt=0, description="concurrent calls to its upstream, for each gateway and each Triton")
    ] = 256
    max_queue: Annotated[
        int, Field(ge=0, description="requests that may wait for one of these calls; more are refused")
    ] = 512
    explore: Annotated[bool, Field(description="false: never chosen by the exploration floor")] = True

    example: ClassVar[str] = """\
name: nemotron-49b
upstream: {kind: openai, base_url: "http://nim-nemotron:8000/v1", model: nvidia/llama-3.3-nemotron-super-49b-v1}
price: {input: 0.13, output: 0.40}
context_window: 131072
capabilities: [tools, json]
system_prompt: detailed thinking on
max_tokens_by_task: {summarization: 1024}
benchmarks: {en: {math: 0.77, code_generation: 0.74}, ja: {math: 0.64}}
share: {max: 0.5}
"""

    @model_validator(mode="after")
    def _upstream_is_capable(self) -> ModelConfig:
        kind = self.upstream.kind
        beyond = sorted(self.capabilities - _ABLE[kind]) if kind in _ABLE else []
        if beyond:
            raise ValueError(f"a {kind} upstream can't do {', '.join(beyond)}; take it out of capabilities")
        if self.batch:
            self._check_batch(self.batch)
        return self

    def _check_batch(self, batch: BatchConfig) -> None:
        upstream, kind = self.upstream, self.upstream.kind
        if isinstance(upstream, BedrockUpstream):
            if missing := [name for name in ("place", "role_arn") if getattr(batch, name) is None]:
                raise Mistake(
                    "is missing: Bedrock's jobs read and write a bucket, by a role of their own", f"batch.{missing[0]}"
                )
            if upstream.model.startswith("arn:") and not _BATCHED_ARN.fullmatch(upstream.model):
                raise Mistake(
                    "Bedrock's batch inference takes models and inference profiles, not what this ARN names; leave it out",
                    "batch",
                )
        elif not isinstance(upstream, OpenAIUpstream):
            raise Mistake(f"a {kind} upstream's lines run in idle capacity, without a Batch API; leave it out", "batch")
        elif batch.place or batch.role_arn:
            raise Mistake(
                "is Bedrock's: files go to this upstream itself", "batch.place" if batch.place else "batch.role_arn"
            )

    @property
    def least_batched(self) -> int:
        """Lines that its Batch API takes at least."""
        return (self.batch and self.batch.min_lines) or (_BEDROCK_LINES if self.upstream.kind == "bedrock" else 1)

    def speaks(self, api: str) -> bool:
        """Whether requests of this API go to the upstream as they are."""
        return isinstance(self.upstream, OpenAIUpstream) and api in self.upstream.apis and not self.defaults

    @model_validator(mode="after")
    def _auto_is_taken(self) -> ModelConfig:
        if self.name == "auto":
            raise ValueError("'auto' is the name that asks for routing; give the model another name")
        return self
