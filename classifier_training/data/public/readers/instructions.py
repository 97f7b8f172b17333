"""Tasks that people described at length: Super-Natural Instructions (Wang et al., 2022)."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import yaml

from classifier_training.data.public.readers.prompt import Prompt, Reader

_LONGEST = 4_000  # characters of a prompt
_FORMS = ("{Definition}\n\n{input}", "{Definition}\n{input}", "{input}\n\n{Definition}")
_TRANSLATIONS = 40
# Spaces that tokens leave before what no space stands before.
_SPACED = re.compile(r" (?=([.,;:?!]|n't|'s)(\s|$))")


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def _some(texts: Iterable[str], most: int) -> list[str]:
    """At most so many different texts that are not too long, chosen by their hash."""
    fitting = dict.fromkeys(text for text in texts if len(text) <= _LONGEST)
    return sorted(fitting, key=_number)[:most]


def _written(forms: Sequence[str], text: str, described: Mapping[str, str]) -> str:
    form = forms[_number(text) % len(forms)]
    return re.sub(r"\n{3,}", "\n\n", _SPACED.sub("", form.format(input=text, **described))).strip()


@cache
def _tasks() -> dict[int, str]:
    """Which of our tasks a task of the collection is, by its number."""
    listed: dict[str, list[int]] = yaml.safe_load(Path(__file__).with_name("instructions.yaml").read_text("utf-8"))
    return {number: task for task, numbers in listed.items() for number in numbers}


def _super_natural_instructions(module: str, _: str) -> Iterator[Prompt]:
    """Of a Python file with the definition and an example of each task."""
    assigned = next(part.value for part in ast.parse(module).body if isinstance(part, ast.Assign))
    translations = []
    for name, about in ast.literal_eval(assigned).items():
        text = about["positive_examples"]["input"].strip()
        prompt = _written(_FORMS, text, {"Definition": about["definition"].strip()})
        number = int(name.split("_")[0].removeprefix("task"))
        if name.endswith("_translation"):
            translations.append(prompt)
        elif number in _tasks() and len(prompt) <= _LONGEST:
            yield prompt, _tasks()[number], "en"
    for prompt in _some(translations, _TRANSLATIONS):
        yield prompt, "other", "en"


READERS: dict[str, Reader] = {
    "super-natural-instructions": _super_natural_instructions,
}
