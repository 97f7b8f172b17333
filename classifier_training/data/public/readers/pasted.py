"""Texts of collections that have no instructions, put under instructions that were written for this project (`pasted.yaml`).

One text comes under several tasks, so that neither its topic nor its length says which task it is.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml

from classifier_training.data.public.readers.prompt import Prompt

LONGEST = 4000  # characters of a prompt
# Before the text or after it, as often; with and without quotes and lines between them.
_PLACES = (
    "{ask}\n\n{text}",
    "{text}\n\n{ask}",
    '{ask}\n"{text}"',
    '"{text}"\n{ask}',
    "{ask}\n---\n{text}\n---",
    "{text}\n\n---\n{ask}",
    "{ask} {text}",
    "Text: {text}\n{ask}",
)

T = TypeVar("T")


def number(*key: object) -> int:
    """A number that depends on nothing but `key`."""
    return int.from_bytes(hashlib.sha256("\0".join(map(str, key)).encode()).digest()[:8])


def pick(options: Sequence[T], *key: object) -> T:
    """One of `options`, drawn by a hash of `key`."""
    return options[number(*key) % len(options)]


def unmeasured(text: str) -> bool:
    """Whether it is no `eval` row of recorded answers, if it is a row of those at all (docs/data.md)."""
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % 10 < 5


def some(texts: Iterable[str], most: int) -> list[str]:
    """At most so many different texts, chosen by their hash."""
    return sorted(dict.fromkeys(texts), key=number)[:most]


def asked(kind: str, text: str, times: int = 1, **words: str) -> Iterator[Prompt]:
    """`text` under instructions for texts of this kind, each time for another task as long as there are any.

    A task comes as often as it has instructions.

    Args:
        words: what stands in braces in this kind's instructions, beside the `words` of `pasted.yaml`.
    """
    given = _instructions()
    ranked = sorted(
        ((task, ask) for task, asks in given[kind].items() for ask in asks), key=lambda pair: number(*pair, text)
    )
    seen: Counter[str] = Counter()
    rounds = []
    for place, (task, ask) in enumerate(ranked):
        rounds.append((seen[task], place, task, ask))
        seen[task] += 1
    for turn, (_, _, task, ask) in enumerate(sorted(rounds)[:times]):
        drawn = {name: pick(options, name, text, turn) for name, options in given["words"].items()}
        request = pick(given["openings"], "opening", text, turn) + ask.format(**drawn, **words)
        closing = pick(given["closings"][task], "closing", text, turn)
        prompt = pick(_PLACES, "place", text, turn).format(ask=f"{request} {closing}".strip(), text=text)
        if len(prompt) <= LONGEST:
            yield prompt, task, "en"


def sentence(tokens: Iterable[str]) -> str:
    """Tokens of a treebank's or tagger's file as a person writes them."""
    text = " ".join(tokens)
    text = text.replace("``", '"').replace("''", '"').replace("-LRB-", "(").replace("-RRB-", ")")
    text = re.sub(r" ([.,;:!?%)\]}])", r"\1", text)
    text = re.sub(r"([(\[{$#]) ", r"\1", text)
    text = re.sub(r" (n't|['’](?:s|m|d|re|ve|ll)\b)", r"\1", text)
    return re.sub(r'" ([^"]+) "', r'"\1"', text).strip()


def column(content: str) -> Iterator[list[str]]:
    """Sentences of a CoNLL file, as the tokens of the first column."""
    tokens: list[str] = []
    for line in content.split("\n"):
        if word := line.strip().split("\t")[0]:
            tokens.append(word)
        elif tokens:
            yield tokens
            tokens = []
    if tokens:
        yield tokens


@cache
def _instructions() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("pasted.yaml").read_text("utf-8"))
    return read
