"""A cascade's scorers: is this answer good enough, or is the next arm asked? (FrugalGPT, Chen et al. 2023, section 3)

Each gives a score in [0, 1]; an answer whose score is under the threshold isn't given while an arm is left to ask.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

# Openings of refusals, in the languages that the classifier is trained for. Only the opening counts: an answer that
# quotes one further down is an answer.
_REFUSAL = re.compile(
    r"^\W*(?:(?:i'?m|i am) (?:so |very |really )?(?:sorry|afraid|unable|not able|not sure|just an? ai)|sorry\b|i apologi[sz]e"
    r"|(?:i|we) (?:can'?t|cannot|can not|won'?t|don'?t know|do not know|couldn'?t|must decline)|as an? (?:ai|language model)"
    r"|申し訳(?:ありません|ございません|ない)|すみません|ごめんなさい|残念ながら|わかりません|分かりません|お答えできません)",
    re.IGNORECASE,
)
_OPENING = 200  # characters
# Characters under which an answer to a long prompt is suspiciously short.
_SHORT = 20
_LONG_PROMPT = 200
# Characters of the end that are looked at for repetition.
_TAIL = 400


def heuristic(answer: str, finish_reason: str = "stop", prompt: str = "") -> float:
    """From refusals, empty, truncated and degenerate answers; 1 if nothing looks wrong.

    Takes text and finish reason as OpenAI's API gives them.
    """
    text = answer.strip()
    if not text or finish_reason == "content_filter":
        return 0.0
    if refuses(text):
        return 0.1
    if _repeats(text):
        return 0.2
    if finish_reason == "length":
        return 0.3
    if len(text) < _SHORT and len(prompt) > _LONG_PROMPT:
        return 0.6
    return 1.0


def refuses(answer: str) -> bool:
    """Whether an answer begins as refusals do, in English or Japanese."""
    return _REFUSAL.match(answer.strip()[:_OPENING].replace("’", "'")) is not None


def logprob(logprobs: Sequence[float]) -> float:
    """Geometric mean probability of the answer's tokens; 0 for none. Not finite ones are left out."""
    known = [value for value in logprobs if math.isfinite(value)]
    return math.exp(min(0.0, sum(known) / len(known))) if known else 0.0


def judge_request(prompt: str, answer: str) -> list[dict[str, str]]:
    """Messages that ask the judge for its rating; `judged` reads the reply."""
    content = (
        "Rate how well the answer serves the request, from 0 (wrong or useless) to 10 (right and complete). "
        f"Reply with the number alone.\n\n<request>\n{prompt}\n</request>\n\n<answer>\n{answer}\n</answer>\n\nRating:"
    )
    return [{"role": "user", "content": content}]


def judged(reply: str) -> float | None:
    """The judge's rating, in [0, 1]; None if the reply holds none (then the answer is judged by `heuristic`)."""
    match = re.search(r"(?<![\d.])(\d+(?:\.\d+)?)\s*(?:/\s*(\d+))?", reply)
    if match is None:
        return None
    rating, scale = float(match.group(1)), float(match.group(2) or 10)
    return rating / scale if 0 <= rating <= scale and scale > 0 else None


def _repeats(text: str) -> bool:
    """The end is one short piece over and over, as of a model caught in a loop."""
    tail = text[-_TAIL:]
    return len(tail) == _TAIL and any(tail[size:] == tail[:-size] for size in range(1, _TAIL // 5))
