"""The SSE parser gives the same events however the bytes are split."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_backend.forwarding.stream import sse
from router_backend.forwarding.stream.sse import SSEParser, frame

RECORDED = (
    '\ufeffdata: {"content":"日本語 🙂"}\n\n'
    ": keep-alive\n\n"
    "event: message\r\nid: 7\r\ndata: first\r\ndata:second\r\n\r\n"
    "data: café\r\rdata\n\n"
    "retry: 10\ndata:  two spaces\n\n"
    "data: [DONE]\n\n"
).encode()
EVENTS = ['{"content":"日本語 🙂"}'.encode(), b"first\nsecond", "café".encode(), b" two spaces", b"[DONE]"]


def parse(pieces: list[bytes]) -> list[bytes]:
    parser = SSEParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events + parser.flush()


def test_every_line_end_comments_and_data_of_several_lines() -> None:
    assert parse([RECORDED]) == EVENTS


def test_split_at_every_byte() -> None:
    for at in range(len(RECORDED) + 1):
        assert parse([RECORDED[:at], RECORDED[at:]]) == EVENTS, at
    assert parse([RECORDED[at : at + 1] for at in range(len(RECORDED))]) == EVENTS


@given(
    texts=st.lists(
        st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1), max_size=5
    ),
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=1),
    cuts=st.sets(st.integers(0, 300)),
)
def test_any_text_any_line_end_any_split(texts: list[str], ends: list[str], cuts: set[int]) -> None:
    def end(place: int) -> str:
        return ends[place % len(ends)]

    # A lone CR must not be followed by LF, or the two would be one line end.
    raw = "".join(f"data: {text}{end(place)}{end(place)}" for place, text in enumerate(texts)).encode()
    places = [0, *sorted(cut for cut in cuts if cut < len(raw)), len(raw)]
    pieces = [raw[start:stop] for start, stop in itertools.pairwise(places)]
    assert parse(pieces) == [text.encode() for text in texts]


def test_last_event_without_empty_line_counts() -> None:
    assert parse([b"data: a\n\ndata: [DONE]"]) == [b"a", b"[DONE]"]


def test_frames_are_parsed_back() -> None:
    assert parse([frame([b"a", b"b"])]) == [b"a", b"b"]


@pytest.mark.parametrize("endless", [b"data: " + b"x" * 900, b"data: x\n" * 200])
def test_event_without_end_is_refused(endless: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1000)
    with pytest.raises(sse.EventTooLarge):
        parse([endless] * 10)
