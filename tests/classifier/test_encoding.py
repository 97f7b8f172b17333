"""Text to token ids, with the shipped artifact's tokenizer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_backend.classifier.artifact import newest_artifact
from router_backend.classifier.encoding import PromptEncoder
from router_backend.classifier.repository import MODEL_REPOSITORY
from router_backend.contract import LENGTH_BUCKETS, MAX_TOKENS, TOKENIZER_FILE

TOKENIZER = newest_artifact(MODEL_REPOSITORY / "classifier") / TOKENIZER_FILE


SHARED = PromptEncoder(TOKENIZER, prefix="query: ")


@pytest.fixture
def encoder() -> PromptEncoder:
    return SHARED


@settings(max_examples=200)
@given(st.text(st.characters(), max_size=400))
def test_any_text_becomes_a_bucket_of_tokens(text: str) -> None:
    encoded = SHARED.encode(text)
    assert len(encoded.input_ids) in LENGTH_BUCKETS
    assert encoded.attention_mask.sum() == encoded.tokens <= MAX_TOKENS
    assert encoded.input_ids.dtype == encoded.attention_mask.dtype == np.int64


def test_a_long_text_keeps_its_head_and_its_tail(encoder: PromptEncoder) -> None:
    text = "Summarise the following. " + "filler words go on " * 60_000 + " Answer in French."
    assert len(text) > 1_000_000
    encoded = encoder.encode(text)
    assert encoded.truncated
    assert encoded.tokens == MAX_TOKENS
    head, _ = encoder.ids("Summarise the following.")
    tail, _ = encoder.ids("Answer in French.")
    assert encoded.input_ids[: len(head) - 1].tolist() == head[:-1]
    assert encoded.input_ids[-4:].tolist() == tail[-4:]


def test_multibyte_text_over_every_limit_is_read(encoder: PromptEncoder) -> None:
    encoded = encoder.encode("漢字とかな、絵文字😀。" * 5000)
    assert encoded.truncated
    assert encoded.tokens == MAX_TOKENS


def test_a_lone_surrogate_is_read(encoder: PromptEncoder) -> None:
    assert encoder.encode("broken \ud83d pair").tokens > 2
