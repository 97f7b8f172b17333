"""A labelled prompt, and what a reader of a collection's files is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Prompt = tuple[str, str, str]  # text, task, language
# Of a file's content (JSON, rows of JSON lines, the root of XML, otherwise its text) and its name.
Reader = Callable[[Any, str], Iterator[Prompt]]
