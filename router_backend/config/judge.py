"""`judge:` answers that a model grades in the background."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from router_backend.config.base import Section, TaskName

Share = Annotated[float, Field(ge=0, le=1)]


class PairsConfig(Section):
    """Answers that are graded beside the reference model's own answer to the same request."""

    share: Annotated[
        Share,
        Field(
            description="share of the answers given to the judge; each one also costs an answer of the reference model"
        ),
    ] = 0.0
    reference: Annotated[str | None, Field(description="the model compared with; default: `default_model`")] = None
    max_tokens: Annotated[
        int,
        Field(
            ge=16,
            le=32_768,
            description="token limit of the reference model's answer; a truncated answer isn't compared",
        ),
    ] = 1024

    example: ClassVar[str] = "{share: 0.1, reference: llama3-70b}"


class JudgeConfig(Section):
    """Another model grades a share of the answers after they were sent. Off unless models are named."""

    models: Annotated[
        list[str],
        Field(description="models that grade: the first one that did not give the answer itself. Empty: off"),
    ] = []
    share: Annotated[Share, Field(description="share of the answers, for tasks that `shares` doesn't name")] = 0.05
    shares: Annotated[dict[TaskName, Share], Field(description="share of the answers, by task")] = {}
    unsure_share: Annotated[
        Share,
        Field(description="share where the policy can't tell the two best models apart; never less than `share`"),
    ] = 0.2
    usd_per_day: Annotated[float, Field(gt=0, description="spending limit of all gateways together in a UTC day")] = 1.0
    grades_itself: Annotated[
        bool, Field(description="a model may grade its own answers if no other of `models` is left")
    ] = False
    pairs: Annotated[PairsConfig, Field(description="answers that are compared with the best model's")] = PairsConfig()
    rubrics: Annotated[
        dict[TaskName, Annotated[str, Field(max_length=4000)]],
        Field(description="what a good answer is, by task, in place of the built-in rubrics"),
    ] = {}
    max_tokens: Annotated[
        int, Field(ge=16, le=4096, description="token limit of a judgement; thinking models need more")
    ] = 256
    timeout_seconds: Annotated[float, Field(gt=0, description="a slower judgement is abandoned")] = 60.0

    example: ClassVar[str] = """\
models: [llama3-70b, nemotron-49b]
share: 0.05
shares: {math: 0.1, chatbot: 0.02}
unsure_share: 0.2
usd_per_day: 2.5
pairs: {share: 0.1, reference: llama3-70b}
"""

    def share_of(self, task: str, unsure: float) -> float:
        """Probability that an answer is graded. `unsure`: from 0 (the policy is sure) to 1."""
        share = self.shares.get(task, self.share)
        return share + max(0.0, self.unsure_share - share) * unsure if share else 0.0

    def grader(self, *answered: str) -> str:
        """The model that grades answers of the models `answered`; empty: none may."""
        others = [name for name in self.models if name not in answered]
        return next(iter(others or (self.models if self.grades_itself else ())), "")
