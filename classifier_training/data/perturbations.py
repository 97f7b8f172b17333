"""Ways to write the same request otherwise. None of them may change which model answers.

Training reads some prompts in such a form (`perturbed`), and `llm-router evaluate` counts the prompts whose task stays (`PERTURBATIONS`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Perturbation = Callable[[str, np.random.Generator], str]

_OPENINGS = (
    "Hi! Could you please help me with this? ",
    "Hello, ",
    "Please ",
    "hey, quick one: ",
    "Good morning. ",
    "pls ",
)
_OPENINGS_JA = ("すみません、", "お世話になっております。", "こんにちは。", "お願いがあります。")
_THANKS = (" Thanks!", " Thank you very much.", " thx", "\n\nThanks in advance", " Cheers")
_THANKS_JA = ("よろしくお願いします。", " ありがとうございます。", "助かります。")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def is_japanese(text: str) -> bool:
    """Whether it has kana."""
    return any("\u3040" <= char <= "\u30ff" for char in text)


def _word(text: str, rng: np.random.Generator) -> tuple[int, int] | None:
    """Where a word of four letters or more stands; a typo there leaves the rest readable."""
    found, start = [], 0
    for word in text.split(" "):
        if len(word) >= 4 and word.isascii() and word.isalpha():
            found.append((start, start + len(word)))
        start += len(word) + 1
    return found[int(rng.integers(len(found)))] if found else None


def swapped_letters(text: str, rng: np.random.Generator) -> str:
    place = _word(text, rng)
    if place is None:
        return text
    at = int(rng.integers(place[0], place[1] - 1))
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def dropped_letter(text: str, rng: np.random.Generator) -> str:
    place = _word(text, rng)
    if place is None:
        return text
    at = int(rng.integers(place[0] + 1, place[1]))
    return text[:at] + text[at + 1 :]


def wrong_letter(text: str, rng: np.random.Generator) -> str:
    place = _word(text, rng)
    if place is None:
        return text
    at = int(rng.integers(place[0], place[1]))
    return text[:at] + _LETTERS[int(rng.integers(26))] + text[at + 1 :]


def lower_case(text: str, rng: np.random.Generator) -> str:
    return text.lower()


def no_final_mark(text: str, rng: np.random.Generator) -> str:
    return text.rstrip().rstrip(".?!\u3002\uff1f\uff01")


def white_space(text: str, rng: np.random.Generator) -> str:
    return "  " + text.replace(". ", ".  ").replace("\n", " \n") + "\n\n"


def polite_opening(text: str, rng: np.random.Generator) -> str:
    openings = _OPENINGS_JA if is_japanese(text) else _OPENINGS
    return openings[int(rng.integers(len(openings)))] + text


def trailing_thanks(text: str, rng: np.random.Generator) -> str:
    thanks = _THANKS_JA if is_japanese(text) else _THANKS
    return text.rstrip() + thanks[int(rng.integers(len(thanks)))]


def quotes(text: str, rng: np.random.Generator) -> str:
    """Straight quotes become curly, and where there are none, the whole stands in quotes."""
    curly = text.replace('"', "\u201d").replace("'", "\u2019")
    return curly if curly != text else ("「" + text + "」" if is_japanese(text) else '"' + text + '"')


def other_order(text: str, rng: np.random.Generator) -> str:
    """The first paragraph last: instruction and text change places. Of one paragraph nothing changes."""
    first, gap, rest = text.partition("\n\n")
    if not gap:
        first, gap, rest = text.partition("\n")
    return rest.strip() + gap + first if gap and rest.strip() and first.strip() else text


PERTURBATIONS: dict[str, Perturbation] = {
    "swapped letters": swapped_letters,
    "dropped letter": dropped_letter,
    "wrong letter": wrong_letter,
    "lower case": lower_case,
    "no final mark": no_final_mark,
    "white space": white_space,
    "polite opening": polite_opening,
    "trailing thanks": trailing_thanks,
    "quotes": quotes,
    "other order": other_order,
}


def perturbed(text: str, rng: np.random.Generator) -> str:
    """`text` after one or two of the perturbations, drawn at random."""
    names = list(PERTURBATIONS)
    for index in rng.choice(len(names), size=int(rng.integers(1, 3)), replace=False):
        text = PERTURBATIONS[names[int(index)]](text, rng)
    return text
