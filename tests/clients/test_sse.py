"""Events out of bytes, wherever the network cuts them."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_router_client.sse import EventSplitter

TEXTS = st.lists(st.text(st.characters(exclude_categories=("Cs",))), max_size=6)


@given(texts=TEXTS, cuts=st.lists(st.integers(0, 400)), newline=st.sampled_from(["\n", "\r\n"]))
def test_any_cut_gives_the_same_events(texts: list[str], cuts: list[int], newline: str) -> None:
    data = "".join(f"data: {json.dumps(text, ensure_ascii=False)}{newline * 2}" for text in texts).encode()
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    splitter = EventSplitter()
    pieces = [data[start:end] for start, end in itertools.pairwise(places)]
    assert [json.loads(event) for piece in pieces for event in splitter.feed(piece)] == texts


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c"])
def test_only_line_feeds_end_lines(separator: str) -> None:
    assert EventSplitter().feed(f"data: a{separator}b\n\n".encode()) == [f"a{separator}b"]


def test_comments_and_other_fields_are_passed_over_and_data_lines_joined() -> None:
    assert EventSplitter().feed(b": ping\n\nevent: x\ndata: 1\ndata:2\nid: 3\n\n") == ["1\n2"]
