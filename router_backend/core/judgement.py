"""What is kept of a judge's grade beside the score: who graded what, and in which order it was shown. No text."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import orjson


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The `tags` of a feedback that a judge gave. Lengths are in characters."""

    judge: str  # the model that graded
    characters: int  # of the answer
    reference: str = ""  # the model whose answer was graded beside it; empty: none was
    reference_characters: int = 0
    reference_score: float = 0.0  # [0, 1]
    first: bool = True  # whether the answer stood before the reference's

    def tags(self) -> str:
        """As JSON."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def of(cls, tags: str) -> Judgement | None:
        """From `tags`; None where they are not a judge's, as in feedback of releases before it."""
        try:
            return cls(**orjson.loads(tags))
        except (ValueError, TypeError):
            return None
