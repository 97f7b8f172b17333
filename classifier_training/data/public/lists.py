"""Which public collections there are: licence, page, and the address and SHA-256 of each file.

`sources/*.yaml` lists labelled prompts, `answers.yaml` recorded answers. A file is named by a revision that never changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from router_backend.user_files import DataError

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class File:
    """One file of a collection: its name in a folder, its address, and its SHA-256, or "" where it isn't known."""

    name: str
    url: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Source:
    """A public collection.

    Attributes:
        only_by_name: not among those that the shipped artifact is made from, which are read when none is named.
    """

    name: str
    licence: str
    page: str
    files: tuple[File, ...]
    only_by_name: bool = False


def sources(names: Sequence[str] = ()) -> list[Source]:
    """Those named, each once, or all in the lists.

    Raises:
        DataError: a name that isn't in the lists.
    """
    listed = {
        name: about
        for path in sorted((_HERE / "sources").glob("*.yaml"))
        for name, about in yaml.safe_load(path.read_text("utf-8")).items()
    }
    if unknown := [name for name in names if name not in listed]:
        raise DataError(f"no source '{unknown[0]}'; there are {', '.join(listed)}")
    return [_source(name, listed[name]) for name in dict.fromkeys(names or listed)]


def answer_sources() -> list[Source]:
    """The collections of recorded answers."""
    listed = yaml.safe_load((_HERE / "answers.yaml").read_text("utf-8"))
    return [_source(name, about) for name, about in listed.items()]


def _source(name: str, about: dict[str, Any]) -> Source:
    """Of an entry of a list: each file has a `url`, or a `path` below the `base` that all have in common."""
    files = (
        File(file, at["url"] if "url" in at else about["base"] + at["path"], at.get("sha256", ""))
        for file, at in about["files"].items()
    )
    return Source(name, about["licence"], about["page"], tuple(files), about.get("only_by_name", False))
