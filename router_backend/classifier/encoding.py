"""Text to the classifier's token ids: head and tail within the budget, padded to a bucket."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from router_backend.contract import MAX_TOKENS, bucket_length

# Of a prompt that is too long, instructions stand at either end: most of the budget goes to the head.
_HEAD_SHARE = 0.6
# No token budget needs more characters than these from either end: a 1 MB text costs no more than a long one.
_CHARACTERS_PER_END = 4096


@dataclass(frozen=True, slots=True)
class Encoded:
    """One prompt's tokens, padded to a bucket."""

    input_ids: NDArray[np.int64]  # [bucket]
    attention_mask: NDArray[np.int64]  # [bucket]
    tokens: int  # before padding
    truncated: bool


class PromptEncoder:
    """The artifact's tokenizer under the contract's rules. Serving and training share it, so they read alike."""

    def __init__(self, tokenizer_file: Path, prefix: str = "", max_tokens: int = MAX_TOKENS) -> None:
        self._tokenizer = Tokenizer.from_file(str(tokenizer_file))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._prefix = prefix
        self._max_tokens = max_tokens
        self._pad = self._tokenizer.token_to_id("<pad>") or 0

    def ids(self, text: str) -> tuple[list[int], bool]:
        """Token ids with special tokens, at most `max_tokens`; True if some of the text was left out."""
        cut = len(text) > 2 * _CHARACTERS_PER_END
        if cut:
            text = f"{text[:_CHARACTERS_PER_END]} … {text[-_CHARACTERS_PER_END:]}"
        # A lone surrogate (legal in JSON) has no UTF-8 form, which the tokenizer needs.
        text = text.encode("utf-8", "replace").decode("utf-8")
        # The fast form keeps no offsets, which nobody reads: the same ids for a fifth less time.
        ids: list[int] = self._tokenizer.encode_batch_fast([self._prefix + text])[0].ids
        if len(ids) <= self._max_tokens:
            return ids, cut
        head = int(self._max_tokens * _HEAD_SHARE)
        return ids[:head] + ids[head - self._max_tokens :], True

    def encode(self, text: str) -> Encoded:
        """Tokens of `text`, padded to the next of the contract's length buckets."""
        ids, truncated = self.ids(text)
        tokens = len(ids)
        width = bucket_length(tokens)
        input_ids = np.empty(width, np.int64)
        input_ids[:tokens] = ids
        input_ids[tokens:] = self._pad
        attention_mask = np.zeros(width, np.int64)
        attention_mask[:tokens] = 1
        return Encoded(input_ids, attention_mask, tokens, truncated)
