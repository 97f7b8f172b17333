"""What a cascade's scorers read of an answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class AnswerText:
    """An answer's first choice: its text, its tokens' log probabilities, and whether it calls tools."""

    text: str = ""
    logprobs: list[float] = field(default_factory=list)
    calls_tools: bool = False

    def add(self, choices: Any) -> None:
        """Take the choices of a chunk or of a whole body in; what isn't as it should be says nothing."""
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict) or choice.get("index", 0) != 0:
                continue
            part = choice.get("delta") or choice.get("message") or choice
            if not isinstance(part, dict):
                continue
            self.text += str(part.get("content") or part.get("text") or "")
            self.calls_tools |= bool(part.get("tool_calls"))
            details = choice.get("logprobs")
            tokens = details.get("content") if isinstance(details, dict) else None
            for token in tokens if isinstance(tokens, list) else ():
                if isinstance(token, dict) and isinstance(token.get("logprob"), int | float):
                    self.logprobs.append(float(token["logprob"]))
