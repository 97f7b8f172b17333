"""Labelled prompts and recorded answers from public collections, in the columns that `llm-router train` reads.

    python -m classifier_training.data.public prompts.csv --answers answers

`sources.yaml` and `answers.yaml` name each collection with its licence, where its files are, and their SHA-256. Files come from there or,
without a network, from a folder. What a prompt's task is, the collection's own documentation says.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import json
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import yaml

from classifier_training.data.public_answers import ANSWER_READERS, Answered, columns
from classifier_training.data.public_readers import READERS, Prompt
from router_backend.user_files import DataError

_SECONDS = 60


@dataclass(frozen=True, slots=True)
class File:
    """One file of a collection: its name in a folder, its address, and its SHA-256, or "" where it isn't known."""

    name: str
    url: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Source:
    """A public collection."""

    name: str
    licence: str
    page: str
    files: tuple[File, ...]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was written: rows of each source, and the SHA-256 of each file that was read."""

    rows: dict[str, int]
    hashes: dict[str, str]


def sources(names: Sequence[str] = ()) -> list[Source]:
    """Those of the list, or all.

    Raises:
        DataError: a name that isn't in the list.
    """
    listed = yaml.safe_load(Path(__file__).with_name("sources.yaml").read_text("utf-8"))
    if unknown := [name for name in names if name not in listed]:
        raise DataError(f"no source '{unknown[0]}'; there are {', '.join(listed)}")
    return [
        Source(
            name,
            listed[name]["licence"],
            listed[name]["page"],
            tuple(File(file, at["url"], at.get("sha256", "")) for file, at in listed[name]["files"].items()),
        )
        for name in names or listed
    ]


def answer_sources() -> list[Source]:
    """The collections of recorded answers."""
    listed = yaml.safe_load(Path(__file__).with_name("answers.yaml").read_text("utf-8"))
    return [
        Source(
            name,
            about["licence"],
            about["page"],
            tuple(File(file, about["base"] + at["path"], at["sha256"]) for file, at in about["files"].items()),
        )
        for name, about in listed.items()
    ]


def fetch(wanted: Sequence[Source], out: Path, folder: Path, download: bool) -> Fetched:
    """Write the prompts of `wanted` into the CSV file `out`.

    Args:
        folder: where the files are, or are kept once they are downloaded.
        download: get those that aren't there; otherwise nothing but `folder` is read.

    Raises:
        DataError: files are missing or can't be had (all of them are named), or one is another than the list says.
    """
    hashes = _have(wanted, folder, download)
    rows: dict[str, int] = {}
    partial = out.with_name(out.name + ".part")
    with partial.open("w", newline="", encoding="utf-8") as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(["text", "task", "source", "language", "license"])
        for source in wanted:
            prompts = dict.fromkeys(prompt for file in source.files for prompt in _read(source, folder / file.name))
            rows[source.name] = len(prompts)
            writer.writerows([text, task, source.name, language, source.licence] for text, task, language in prompts)
    partial.replace(out)
    return Fetched(rows, hashes)


def fetch_answers(wanted: Sequence[Source], out: Path, folder: Path, download: bool) -> Fetched:
    """Write the recorded answers of `wanted` into the folder `out`, a CSV file each.

    Args:
        folder: where the files are, or are kept once they are downloaded.
        download: get those that aren't there; otherwise nothing but `folder` is read.

    Raises:
        DataError: files are missing or can't be had (all of them are named), or one is another than the list says.
    """
    hashes = _have(wanted, folder, download)
    out.mkdir(parents=True, exist_ok=True)
    rows: dict[str, int] = {}
    for source in wanted:
        # The first answer counts where a prompt stands twice.
        answers: dict[str, Answered] = {}
        for file in source.files:
            for row in _answers(source, folder / file.name):
                answers.setdefault(row.prompt, row)
        partial = out / f"{source.name}.csv.part"
        with partial.open("w", newline="", encoding="utf-8") as target:
            csv.writer(target, lineterminator="\n").writerows(columns(list(answers.values())))
        partial.replace(out / f"{source.name}.csv")
        rows[f"{source.name}.csv"] = len(answers)
    return Fetched(rows, hashes)


def _have(wanted: Sequence[Source], folder: Path, download: bool) -> dict[str, str]:
    """Get all files; the SHA-256 of each by its name."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [file for source in wanted for file in source.files]
    problems = [problem for file in files if (problem := _obtain(file, folder, download))]
    if problems:
        raise DataError("\n".join(["not all files could be had:", *problems]))
    return {file.name: _checked(file, folder) for file in files}


def _obtain(file: File, folder: Path, download: bool) -> str:
    """ "" once the file is in `folder`; otherwise what is wrong, and what to do."""
    path = folder / file.name
    if path.is_file():
        return ""
    if not download:
        return f"{path} is missing: save {file.url} under this name"
    try:
        with urllib.request.urlopen(file.url, timeout=_SECONDS) as answer:
            content = answer.read()
    except OSError as error:  # URLError is one
        return f"{file.url}: {error}; save it as {path}, or use --from with a folder that has it"
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(content)
    partial.replace(path)
    return ""


def _checked(file: File, folder: Path) -> str:
    path = folder / file.name
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if file.sha256 and found != file.sha256:
        raise DataError(
            f"{path} is not the file that the list means: SHA-256 {found} in place of {file.sha256}; delete it and get it from {file.url}"
        )
    return found


def _read(source: Source, path: Path) -> Iterator[Prompt]:
    try:
        raw = path.read_bytes()
        content = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
        for text, task, language in READERS[source.name](_content(path.name.removesuffix(".gz"), content)):
            if text.strip():
                yield text.strip(), task, language
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        SyntaxError,
    ) as error:  # ElementTree's ParseError is a SyntaxError
        raise DataError(f"{path} can't be read as a file of {source.page}: {error!r}") from error


def _answers(source: Source, path: Path) -> Iterator[Answered]:
    try:
        yield from ANSWER_READERS[source.name](path.read_text("utf-8"), path.name)
    except (OSError, ValueError, KeyError, TypeError, IndexError, SyntaxError, csv.Error) as error:
        raise DataError(f"{path} can't be read as a file of {source.page}: {error!r}") from error


def _content(name: str, text: str) -> Any:
    if name.endswith(".xml"):
        return ElementTree.fromstring(text)
    if name.endswith(".jsonl"):
        # Not splitlines(): a text may have other line ends in it.
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    return json.loads(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 1 where files are missing or not those of the list."""
    parser = argparse.ArgumentParser(
        prog="python -m classifier_training.data.public", description="Write labelled prompts of public collections."
    )
    parser.add_argument("out", type=Path, nargs="?", help="CSV file to write; without it the list is printed")
    parser.add_argument("--source", action="append", default=[], help="only this one; may be given several times")
    parser.add_argument("--from", dest="folder", type=Path, help="folder with the files; nothing is downloaded then")
    parser.add_argument("--answers", type=Path, help="folder to write recorded answers of models into, too")
    options = parser.parse_args(arguments)
    try:
        wanted, answered = sources(options.source), answer_sources()
        if options.out is None:
            for source in [*wanted, *answered]:
                sys.stdout.write(f"{source.name}: {source.licence}, {source.page}\n")
                for file in source.files:
                    sys.stdout.write(f"  {file.name}  {file.url}  {file.sha256 or 'SHA-256 not known'}\n")
            return 0
        folder = options.folder or options.out.with_name(options.out.name + ".files")
        download = options.folder is None
        written = [fetch(wanted, options.out, folder, download)]
        if options.answers is not None:
            written.append(fetch_answers(answered, options.answers, folder, download))
    except DataError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for found in written:
        for name, rows in found.rows.items():
            sys.stdout.write(f"{name}: {rows:,} prompts\n")
        for name, sha256 in found.hashes.items():
            sys.stdout.write(f"{name}: SHA-256 {sha256}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
