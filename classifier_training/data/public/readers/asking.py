"""Put a request before or after a text, in many forms, always the same for the same text.

A collection that has no instructions of its own becomes what people send: each text is asked for several tasks, so that neither its
length nor its topic says which.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from classifier_training.data.public.readers.prompt import Prompt

LONGEST = 4_000  # characters of a text
MOST = 3_000  # rows of a source

_BEFORE = (
    "{ask}\n\n{text}",
    "{ask}\n{text}",
    "{ask}\n---\n{text}\n---",
    "{ask}\n\n「{text}」",
    "{ask}\n```\n{text}\n```",
)
_AFTER = ("{text}\n\n{ask}", "{text}\n{ask}", "「{text}」\n{ask}", "{text}\n\n---\n{ask}", '"""\n{text}\n"""\n\n{ask}')
_MARK = "{この}"
_POINTS_DOWN = ("以下の", "次の", "下の", "下記の")
_POINTS_UP = ("この", "上の", "上記の", "この")


def draw(seed: str, size: int) -> int:
    """A number below `size` that depends on nothing but the seed."""
    return int(hashlib.sha256(seed.encode()).hexdigest()[:12], 16) % size


def pick(choices: Sequence[str], seed: str) -> str:
    return choices[draw(seed, len(choices))]


def few(rows: Sequence[Prompt], most: int = MOST) -> list[Prompt]:
    """At most `most` of the rows, those with the lowest hashes."""
    return sorted(rows, key=lambda row: draw(row[0], 2**40))[:most]


def address(ask: str, heads: Sequence[str], tails: Sequence[str], seed: str) -> str:
    """The request, in a third of the cases each with a word before it, with one after it, or bare."""
    kind = draw(f"address {seed}", 3)
    if kind == 1:
        return f"{pick(heads, seed)}{ask}"
    return f"{ask}\n{pick(tails, seed)}" if kind == 2 else ask


def put(text: str, ask: str, seed: str) -> str:
    """The text with a request; `{この}` in it becomes a word that points down to the text or up to it."""
    above = draw(f"place {seed}", 2) == 0
    ask = ask.replace(_MARK, pick(_POINTS_DOWN if above else _POINTS_UP, f"point {seed}"))
    frame = pick(_BEFORE if above else _AFTER, f"frame {seed}")
    return frame.replace("{ask}", ask).replace("{text}", text)


def contrast(
    text: str,
    asks: Mapping[str, Sequence[str]],
    language: str,
    count: int,
    around: tuple[Sequence[str], Sequence[str]] | None = None,
) -> Iterator[Prompt]:
    """`count` prompts with the same text, each for another task.

    Args:
        asks: the requests of each task.
        around: words for before and after a request.
    """
    tasks = sorted(asks, key=lambda task: draw(f"{task} {text}", 2**40))
    for task in tasks[:count]:
        seed = f"{task} {text}"
        ask = pick(asks[task], f"ask {seed}")
        yield put(text, address(ask, *around, seed) if around else ask, seed), task, language
