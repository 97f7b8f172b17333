"""What is asked, the same for all transports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Messages = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Hints:
    """What a client may say about the choice of the model; all optional."""

    policy: str = ""  # one of the deployment's policies
    session: str = ""  # keeps a conversation on its model where that pays
    max_cost: float | None = None  # USD for the answer
    min_quality: float | None = None  # [0, 1]
    models: Sequence[str] = ()  # allowed ones; empty: all
    previous_model: str = ""  # that answered the session's last turn; Triton only, the gateway remembers it


@dataclass(frozen=True)
class ChatRequest:
    """`prompt` is one user turn, or OpenAI's messages; `fields` are further fields of OpenAI's request."""

    prompt: str | Messages
    model: str = "auto"
    hints: Hints = field(default_factory=Hints)
    fields: Mapping[str, Any] = field(default_factory=dict)
    streamed: bool = False

    def body(self) -> dict[str, Any]:
        """As JSON of POST /v1/chat/completions."""
        messages = [{"role": "user", "content": self.prompt}] if isinstance(self.prompt, str) else list(self.prompt)
        body = {"model": self.model, "messages": messages, **self.fields}
        return body | {"stream": True} if self.streamed else body


@dataclass(frozen=True)
class Score:
    """Feedback for one answer."""

    decision_id: str
    score: float  # [0, 1]
    cost_usd: float | None = None  # what the answer really cost
    task: str = ""  # the right one, where the decision's was wrong
    tags: Mapping[str, Any] = field(default_factory=dict)
