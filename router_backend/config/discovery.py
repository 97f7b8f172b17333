"""`discover:` models that nobody has listed: those that a server says it has."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from router_backend.config.base import Mistake, Section
from router_backend.config.models import Capability, ModelConfig, OpenAIUpstream, Price


class Discovery(Section):
    """Models of a server, found by its `/models` and offered under their own names. They are not arms: clients name them, and `auto`
    never chooses them, because nothing is known about their quality."""

    upstream: Annotated[OpenAIUpstream, Field(description="the server; without `model`")]
    pattern: Annotated[
        str,
        Field(min_length=1, description="names to offer; `*` stands for any characters, `?` for one"),
    ] = "*"
    price: Annotated[Price, Field(description="token prices of each model")]
    context_window: Annotated[int, Field(gt=0, description="tokens, if the server names none")] = 8192
    capabilities: Annotated[frozenset[Capability], Field(description="capabilities of each model")] = frozenset()
    seconds: Annotated[float, Field(ge=1, description="seconds between two queries to the server")] = 60.0

    example: ClassVar[str] = """\
upstream: {kind: openai, base_url: "http://vllm:8000/v1"}
pattern: "meta/*"
price: {input: 0.1, output: 0.2}
"""

    @model_validator(mode="after")
    def _names_no_model(self) -> Discovery:
        if self.upstream.model is not None:
            raise Mistake("names one model, but the server is asked for all of them; delete it", "upstream", "model")
        return self

    def offers(self, name: str) -> bool:
        """Whether a model of the server is offered."""
        return fnmatchcase(name, self.pattern)

    def model(self, name: str, window: int | None) -> ModelConfig:
        """A found model. `window`: its tokens, where the server says them.

        Raises:
            ValueError: no model can have that name.
        """
        return ModelConfig(
            name=name,
            upstream=self.upstream.model_copy(update={"model": name}),
            price=self.price,
            context_window=window or self.context_window,
            capabilities=self.capabilities,
        )
