"""Stop sequences are found wherever the text is split, and nothing else is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router_backend.forwarding.upstreams.tensorrtllm.stops import StopFilter

TEXT = st.text("ab\n", max_size=30)
STOPS = st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3)


@given(pieces=st.lists(TEXT, max_size=8), stops=STOPS)
def test_any_split_gives_the_text_before_the_first_stop(pieces: list[str], stops: list[str]) -> None:
    filter = StopFilter(stops)
    got = ""
    for piece in pieces:
        got += filter.feed(piece)
        if filter.stopped:
            break
    else:
        got += filter.flush()
    whole = "".join(pieces)
    places = [whole.index(stop) for stop in stops if stop in whole]
    assert filter.stopped == bool(places)
    if not places:
        assert got == whole
    else:
        assert whole.startswith(got)
        assert len(got) <= min(places) or (got == whole[: len(got)] and not any(stop in got for stop in stops))


def test_held_text_can_be_taken_back() -> None:
    filter = StopFilter(["ist yo"])
    assert filter.feed("assist") == "ass"
    filter.retract(3)
    assert filter.flush() == ""


def test_text_that_only_began_like_a_stop_is_not_held_for_long() -> None:
    filter = StopFilter(["END"])
    assert filter.feed("aE") == "a"
    assert filter.feed("Nx") == "ENx"
    assert filter.feed("yE") == "y"
    assert filter.flush() == "E"
