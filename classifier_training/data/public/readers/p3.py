"""P3's prompts: a template each file, over rows of one data set (Sanh et al., "Multitask Prompted Training", 2022)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import yaml

from classifier_training.data.public.readers.prompt import Prompt, Reader

_ROWS = 40  # of each template: the wording is the same in all of them
_CHARACTERS = 4000


@cache
def _tasks() -> dict[str, str]:
    listed: dict[str, list[str]] = yaml.safe_load(Path(__file__).with_name("p3.yaml").read_text("utf-8"))
    return {template: task for task, templates in listed.items() for template in templates}


def _p3(rows: list[dict[str, str]], file: str) -> Iterator[Prompt]:
    task = _tasks()[file.removeprefix("p3_").removesuffix(".jsonl")]
    short = (row["prompt"] for row in rows if len(row["prompt"]) <= _CHARACTERS)
    for text, _ in zip(dict.fromkeys(short), range(_ROWS), strict=False):
        yield text, task, "en"


READERS: dict[str, Reader] = {"p3": _p3}
