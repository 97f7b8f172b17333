"""`implicit:` what stands for a score when nobody gave one."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from router_backend.config.base import Section

Score = Annotated[float | None, Field(ge=0, le=1)]


class ImplicitSignals(Section):
    """The score that each signal gives when there is no feedback; null: the signal teaches nothing."""

    upstream_error: Annotated[Score, Field(description="the upstream failed")] = 0.0
    invalid_output: Annotated[
        Score,
        Field(description="an answer isn't the JSON, or doesn't match the schema, that `response_format` asks for"),
    ] = 0.0
    invalid_tool_call: Annotated[
        Score, Field(description="a call to an unknown tool, or with arguments that its schema doesn't allow")
    ] = 0.0
    empty: Annotated[Score, Field(description="an answer without text and without a tool call")] = None
    refusal: Annotated[Score, Field(description="the answer begins like a refusal, or was filtered")] = None
    truncated: Annotated[Score, Field(description="the answer ended at its token limit")] = None
    tool_error: Annotated[
        Score, Field(description="the client reports that a tool called by the previous answer failed")
    ] = None
    asked_again: Annotated[Score, Field(description="the same prompt is sent again in a session")] = None
    regenerated: Annotated[Score, Field(description="the same conversation is sent again in a session")] = None
    thanked: Annotated[Score, Field(description="the user's next turn begins with thanks or praise")] = None
    complained: Annotated[Score, Field(description="the user's next turn begins with a complaint")] = None
    ended_well: Annotated[
        Score, Field(description="a complete answer with no other signal by the end of `grace_seconds`")
    ] = None
    grace_seconds: Annotated[
        float, Field(ge=0, description="a signal counts after this time, unless feedback has given a score by then")
    ] = 3600.0

    example: ClassVar[str] = (
        "{upstream_error: 0.0, truncated: 0.3, asked_again: 0.2, ended_well: 0.7, grace_seconds: 1800}"
    )

    def score(self, signal: str) -> float | None:
        """What a signal stands for; None: nothing, or there is no such signal."""
        score: float | None = getattr(self, signal) if signal in _SIGNALS else None
        return score

    @property
    def reacts(self) -> bool:
        """Whether it matters what the user says to an answer."""
        return self.thanked is not None or self.complained is not None

    def reads(self, *, checked: bool) -> bool:
        """Whether an answer has to be read. `checked`: its request holds schemas that it must meet."""
        named = (self.empty, self.refusal, *((self.invalid_output, self.invalid_tool_call) if checked else ()))
        return any(score is not None for score in named)


_SIGNALS = frozenset(ImplicitSignals.model_fields) - {"grace_seconds"}
