"""English collections of texts without instructions: news, posts, papers, terms of use, tables, ..."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from io import StringIO
from typing import Any

from classifier_training.data.public.readers.pasted import asked, column, number, pick, sentence, some
from classifier_training.data.public.readers.prompt import Prompt, Reader


def _banking77(content: str, name: str) -> Iterator[Prompt]:
    rows = list(csv.DictReader(StringIO(content)))
    intents = sorted({row["category"] for row in rows})
    right = {row["text"].strip(): row["category"] for row in rows}
    for text in some(right, 1500):
        others = sorted(intents, key=lambda intent: number(intent, text))[: 3 + number(text) % 5]
        labels = sorted({*others, right[text]}, key=lambda intent: number("order", intent, text))
        spelled = [label.replace("_", " ") for label in labels] if number("spelled", text) % 2 else labels
        yield from asked("customer", text, labels=pick((", ", " | ", "; "), "between", text).join(spelled))


def _goemotions(content: str, name: str) -> Iterator[Prompt]:
    texts = (line.split("\t")[0].strip() for line in content.splitlines()[1:])
    # "[NAME]" stands for a name that the collection hides.
    for text in some((text for text in texts if "[" not in text and len(text) > 30), 900):
        yield from asked("post", text)


_TYPES = {
    "ai": ("algorithms and metrics", "researchers, universities and conferences", "programming languages and products"),
    "literature": ("writers", "books and poems", "awards, magazines and places"),
    "music": ("bands and singers", "songs and albums", "genres and instruments"),
    "politics": ("politicians and parties", "elections", "countries, cities and dates"),
    "science": ("scientists", "chemical elements, enzymes and proteins", "universities, journals and awards"),
}


def _crossner(content: str, name: str) -> Iterator[Prompt]:
    types = _TYPES[name.removeprefix("crossner_").removesuffix(".txt")]
    texts = (sentence(tokens) for tokens in column(content))
    for text in some((text for text in texts if len(text) > 60), 300):
        yield from asked("facts", text, times=2, types=pick(types, text))


def _wnut17(content: str, name: str) -> Iterator[Prompt]:
    texts = (sentence(tokens) for tokens in column(content))
    for text in some((text for text in texts if len(text) > 40 and "& gt" not in text), 800):
        yield from asked("rough", text)


def _disfl_qa(content: dict[str, dict[str, str]], name: str) -> Iterator[Prompt]:
    for text in some((row["disfluent"] for row in content.values()), 500):
        yield from asked("spoken", text)


def _wiki_split(content: str, name: str) -> Iterator[Prompt]:
    split = dict(line.split("\t") for line in content.splitlines())
    for long in some(split, 1600):
        if number("joined", long) % 4:
            yield from asked("long_sentence", sentence(long.split()))
        else:
            yield from asked("two_sentences", sentence(split[long].replace("<::::>", "").split()))


def _wiki_conciseness(content: str, name: str) -> Iterator[Prompt]:
    for text in some((line.split("\t")[0] for line in content.splitlines()), 700):
        yield from asked("wordy", text)


def _scitldr(rows: list[dict[str, Any]], name: str) -> Iterator[Prompt]:
    for text in some((" ".join(row["source"]) for row in rows), 450):
        yield from asked("abstract", text, times=2)


def _legal_summarization(content: dict[str, dict[str, Any]], name: str) -> Iterator[Prompt]:
    for text in some((row["original_text"] for row in content.values()), 450):
        if len(text) > 100:
            yield from asked("terms", text, times=2)


_PASSAGE = 700  # characters, at least


def _onestop(content: str, name: str) -> Iterator[Prompt]:
    passage: list[str] = []
    for line in content.lstrip("\ufeff").splitlines():
        if line.strip():
            passage.append(line.strip())
        if sum(map(len, passage)) > _PASSAGE:
            yield from asked("article", "\n".join(passage), times=6)
            passage = []


def _wikitables(content: str, name: str) -> Iterator[Prompt]:
    # A line break in a cell is a blank here; a quote in one has a backslash.
    rows = [[re.sub(r"\s+", " ", cell) for cell in row] for row in csv.reader(StringIO(content), escapechar="\\")]
    rows = rows[:25]
    for turn in range(12):
        if pick((True, False), "columns", name, turn):
            table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
        else:
            table = "\n".join(pick((",", "\t", ";"), "between", name, turn).join(row) for row in rows)
        # Another number of rows each time is another text, so it comes under another instruction.
        yield from asked("table", "\n".join(table.split("\n")[: max(4, len(rows) - turn)]))


READERS: dict[str, Reader] = {
    "banking77": _banking77,
    "goemotions": _goemotions,
    "crossner": _crossner,
    "wnut17": _wnut17,
    "disfl-qa": _disfl_qa,
    "wiki-split": _wiki_split,
    "wiki-conciseness": _wiki_conciseness,
    "scitldr": _scitldr,
    "legal-summarization": _legal_summarization,
    "onestop-english": _onestop,
    "wikitables": _wikitables,
}
