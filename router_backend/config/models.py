"""`models:` the arms of the bandit, each a model with its upstream, price and options."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from router_backend.config.base import Section

Capability = Literal["tools", "vision", "json", "logprobs", "embeddings"]


class OpenAIUpstream(Section):
    """A server with an OpenAI surface: NIM, vLLM, or any compatible one."""

    kind: Literal["openai"]
    base_url: Annotated[str, Field(description="up to and including /v1", pattern=r"^https?://")]
    model: Annotated[str | None, Field(description="the upstream's own name of the model; default: the arm's name")] = (
        None
    )
    api_key_env: Annotated[str | None, Field(description="environment variable that holds the API key")] = None
    api_key_file: Annotated[str | None, Field(description="file that holds the API key (a mounted secret)")] = None
    headers: Annotated[dict[str, str], Field(description="extra request headers")] = {}


class TensorRTLLMUpstream(Section):
    """A Triton server with TensorRT-LLM's models, spoken to by gRPC ModelStreamInfer."""

    kind: Literal["tensorrtllm"]
    url: Annotated[str, Field(description="host:port of Triton's gRPC endpoint")]
    model: Annotated[str, Field(description="ensemble, tensorrt_llm_bls, or tensorrt_llm (LLM API)")] = "ensemble"
    tokenizer: Annotated[str, Field(description="tokenizer folder or Hugging Face name: its chat template is applied")]
    tls: bool = False


class LocalUpstream(Section):
    """The packaged small model, started by the launcher."""

    kind: Literal["local"]


Upstream = Annotated[OpenAIUpstream | TensorRTLLMUpstream | LocalUpstream, Field(discriminator="kind")]


class Price(Section):
    """USD per million tokens."""

    input: Annotated[float, Field(ge=0)]
    output: Annotated[float, Field(ge=0)]
    cached_input: Annotated[float | None, Field(ge=0, description="prompt-cache hits; default: input's price")] = None
    reasoning: Annotated[float | None, Field(ge=0, description="thinking tokens; default: output's price")] = None


class Share(Section):
    """Bounds of the share of routed requests that an arm gets."""

    min: Annotated[float, Field(ge=0, le=1)] = 0.0
    max: Annotated[float, Field(ge=0, le=1)] = 1.0


class ModelConfig(Section):
    """One arm. One model with thinking on and off is two arms."""

    name: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")]
    upstream: Upstream
    price: Price
    context_window: Annotated[int, Field(gt=0, description="tokens, prompt and answer together")]
    capabilities: frozenset[Capability] = frozenset()
    defaults: Annotated[
        dict[str, Any],
        Field(description="request fields set when the client leaves them out (thinking, reasoning_effort)"),
    ] = {}
    system_prompt: Annotated[
        str | None,
        Field(description="put in front of the conversation's own; Nemotron: `detailed thinking on` or `off`"),
    ] = None
    max_tokens_by_task: Annotated[
        dict[str, int], Field(description="cap of max_tokens per task, for routed requests")
    ] = {}
    share: Share = Share()
    max_cost_usd: Annotated[
        float | None, Field(gt=0, description="an arm whose estimate is dearer is no candidate")
    ] = None
    max_concurrency: Annotated[int, Field(gt=0)] = 256
    max_queue: Annotated[int, Field(ge=0)] = 512
    explore: Annotated[bool, Field(description="false: never chosen by the exploration floor")] = True

    @model_validator(mode="after")
    def _upstream_is_capable(self) -> ModelConfig:
        beyond = sorted(self.capabilities - {"json"}) if self.upstream.kind == "tensorrtllm" else []
        if beyond:
            raise ValueError(f"a tensorrtllm upstream can't do {', '.join(beyond)}; take it out of capabilities")
        return self

    @model_validator(mode="after")
    def _auto_is_taken(self) -> ModelConfig:
        if self.name == "auto":
            raise ValueError("'auto' is the name that asks for routing; give the model another name")
        return self
