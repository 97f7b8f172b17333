"""Write the CSV files of public collections: get their files, compare their SHA-256, read them."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from classifier_training.data.public.answers import ANSWER_READERS, Answered, columns, joined
from classifier_training.data.public.lists import File, Source
from classifier_training.data.public.readers import READERS
from classifier_training.data.public.readers.prompt import Prompt
from router_backend.user_files import DataError

_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was written: rows of each source, and the SHA-256 of each file that was read."""

    rows: dict[str, int]
    hashes: dict[str, str]


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
        answers: dict[str, Answered] = {}
        for file in source.files:
            # The first answer counts where a prompt stands twice; another file may have the answers of other models.
            of_file: dict[str, Answered] = {}
            for row in _answers(source, folder / file.name):
                of_file.setdefault(row.prompt, row)
            for prompt, row in of_file.items():
                answers[prompt] = joined(answers[prompt], row) if prompt in answers else row
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
        for text, task, language in READERS[source.name](_content(path.name.removesuffix(".gz"), content), path.name):
            if text.strip():
                yield text.strip(), task, language
    except (
        OSError,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        SyntaxError,
        csv.Error,
    ) as error:  # ElementTree's ParseError is a SyntaxError
        raise DataError(f"{path} can't be read as a file of {source.page}: {error!r}") from error


def _answers(source: Source, path: Path) -> Iterator[Answered]:
    try:
        yield from ANSWER_READERS[source.name](_text(path), path.name)
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        SyntaxError,
        csv.Error,
        zipfile.BadZipFile,
    ) as error:
        raise DataError(f"{path} can't be read as a file of {source.page}: {error!r}") from error


def _text(path: Path) -> str:
    """Of a file, or of the first file in an archive."""
    if path.suffix != ".zip":
        return path.read_text("utf-8")
    with zipfile.ZipFile(path) as archive:
        return archive.read(archive.namelist()[0]).decode("utf-8")


def _content(name: str, text: str) -> Any:
    if name.endswith(".xml"):
        return ElementTree.fromstring(text)
    if name.endswith(".jsonl"):
        # Not splitlines(): a text may have other line ends in it.
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    return json.loads(text) if name.endswith(".json") else text
