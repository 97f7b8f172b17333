"""What a call gives back. Everything is immutable; fields that a server adds later are ignored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

TASKS = (
    "brainstorming",
    "chatbot",
    "classification",
    "closed_qa",
    "code_generation",
    "extraction",
    "math",
    "open_qa",
    "other",
    "rewrite",
    "summarization",
    "text_generation",
)
"""The tasks that the classifier knows, in the order of Triton's tensor `task_probabilities`."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Which model takes a request, and why.

    `route` knows all of it. With an answer from the gateway only the first four fields are known, with one from Triton
    only the first two; there `model` is the model that answered, should the chosen one have failed.
    """

    decision_id: str
    model: str
    reason: str = ""
    task: str = ""
    switched: bool = False  # the session's model changed
    task_probabilities: Mapping[str, float] = field(default_factory=dict)
    complexity: float | None = None  # [0, 1]
    ranking: tuple[str, ...] = ()  # models, best first: the order of fallback
    scores: Mapping[str, float] = field(default_factory=dict)  # the rest is by model
    means: Mapping[str, float] = field(default_factory=dict)  # expected reward
    bonuses: Mapping[str, float] = field(default_factory=dict)  # for exploration
    expected_cost: Mapping[str, float] = field(default_factory=dict)  # USD
    propensity: float | None = None  # probability of this choice, (0, 1]
    policy: str = ""
    policy_version: str = ""
    experiment: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)  # as the server sent it

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Decision:
        """The decision as `/v1/route` and `/v1/decisions/{id}` give it, or Triton's tensor `decision`."""
        known = {each.name for each in fields(cls)} - {"raw"}
        found = {name: value for name, value in values.items() if name in known}
        probabilities = found.get("task_probabilities") or {}
        if isinstance(probabilities, list):
            probabilities = dict(zip(TASKS, probabilities, strict=False))
        found |= {"task_probabilities": probabilities, "ranking": tuple(found.get("ranking") or ()), "raw": values}
        return cls(**found)


@dataclass(frozen=True)
class Usage:
    """Tokens of one answer."""

    input_tokens: int
    output_tokens: int

    @classmethod
    def from_openai(cls, body: Mapping[str, Any]) -> Usage | None:
        """None where the body has no usage."""
        usage = body.get("usage")
        return cls(usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0) if usage else None


@dataclass(frozen=True)
class Completion:
    """A whole answer."""

    text: str
    decision: Decision
    finish_reason: str
    usage: Usage | None
    raw: Mapping[str, Any]  # OpenAI's chat.completion: tool calls, logprobs and further choices are here

    @property
    def message(self) -> Mapping[str, Any]:
        """The assistant's message, to be appended to `messages` for the next turn."""
        message: Mapping[str, Any] = self.raw["choices"][0]["message"]
        return message

    @classmethod
    def from_openai(cls, body: Mapping[str, Any], decision: Decision) -> Completion:
        choice = body["choices"][0]
        text = choice["message"].get("content") or ""
        return cls(text, decision, choice.get("finish_reason") or "", Usage.from_openai(body), body)


@dataclass(frozen=True)
class Chunk:
    """A piece of a streamed answer. `finish_reason` is empty but in the last one; `usage` is there when it is known."""

    text: str
    finish_reason: str
    usage: Usage | None
    raw: Mapping[str, Any]  # OpenAI's chat.completion.chunk: deltas of tool calls, logprobs, further choices

    @classmethod
    def from_openai(cls, chunk: Mapping[str, Any]) -> Chunk:
        first: Mapping[str, Any] = next(
            (choice for choice in chunk.get("choices") or () if choice.get("index", 0) == 0), {}
        )
        text = (first.get("delta") or {}).get("content") or ""
        return cls(text, first.get("finish_reason") or "", Usage.from_openai(chunk), chunk)


@dataclass(frozen=True)
class Reward:
    """What a score was worth to the policy; it is stored for good."""

    decision_id: str
    reward: float
    score: float  # that counts: the given one, or that of the decision's first feedback
    duplicate: bool = False  # the decision had a score already, and keeps it

    @classmethod
    def of(cls, decision_id: str, given: float, said: Mapping[str, Any]) -> Reward:
        """What `feedback` says; a server before 0.2 says the reward alone."""
        return cls(
            decision_id, said["reward"], said.get("score", said.get("counted", given)), said.get("duplicate", False)
        )
