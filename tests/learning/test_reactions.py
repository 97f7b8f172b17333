"""Thanks and complaints are told from the first words, as well as docs/policies.md says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_backend.core.signals import COMPLAINED, THANKED
from router_backend.learning.reactions import reaction

TURNS = [
    tuple(line.split("\t", 1))
    for line in Path(__file__).with_name("reactions.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


def japanese(turn: str) -> bool:
    return any("\u3040" <= letter <= "\u9fff" for letter in turn)


@pytest.mark.parametrize(
    ("kind", "language", "figures"),
    [
        (THANKED, "English", (17, 17, 20)),
        (COMPLAINED, "English", (18, 19, 22)),
        (THANKED, "Japanese", (12, 14, 15)),
        (COMPLAINED, "Japanese", (13, 13, 17)),
    ],
)
def test_the_figures_of_the_page(kind: str, language: str, figures: tuple[int, int, int]) -> None:
    """(right, found, there); whoever changes the rule by these turns measures it on new ones."""
    turns = [(said, turn) for said, turn in TURNS if japanese(turn) == (language == "Japanese")]
    found = [said == kind for said, turn in turns if reaction(turn) == kind]
    assert (sum(found), len(found), sum(said == kind for said, _ in turns)) == figures


def test_a_complaint_behind_thanks_is_a_complaint() -> None:
    assert reaction("Thanks, but that's wrong.") == COMPLAINED
    assert reaction("Thank you. It works!") == THANKED


@given(st.text(max_size=400))
def test_any_turn_is_one_of_three(turn: str) -> None:
    assert reaction(turn) in (THANKED, COMPLAINED, "")
