"""What routing wants to know of a request apart from its meaning: size, script, code."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from router_backend.prompts.messages import text_of

_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_CODE = re.compile(
    r"```|^\s*(def |class |import |from \w+ import|#include|public |function |SELECT )|[{};]\s*$|</\w+>|=>", re.M
)
# Characters a token: measured on Llama 3's tokenizer for English; a CJK character is about one token.
_CHARACTERS_PER_TOKEN = 4.0
_TOKENS_PER_MESSAGE = 5
_SAMPLE = 8192


@dataclass(frozen=True, slots=True)
class PromptFeatures:
    """Features of a request."""

    prompt_tokens: int  # estimate over all messages, for costs and context windows
    japanese: bool
    code: bool


def estimate_tokens(text: str) -> int:
    """Tokens of a text, within about 20 % for English and Japanese, from a sample of a long one."""
    sample = text[:_SAMPLE]
    wide = len(_WIDE.findall(sample))
    tokens = wide + (len(sample) - wide) / _CHARACTERS_PER_TOKEN
    return round(tokens * len(text) / len(sample)) if sample else 0


def describe(text: str, messages: Sequence[Mapping[str, Any]]) -> PromptFeatures:
    """Features of a request whose classified text is `text`."""
    sample = text[:_SAMPLE]
    return PromptFeatures(
        prompt_tokens=sum(estimate_tokens(text_of(m.get("content"))) + _TOKENS_PER_MESSAGE for m in messages),
        japanese=_KANA.search(sample) is not None,
        code=_CODE.search(sample) is not None,
    )
