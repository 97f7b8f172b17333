"""Write the CSV files of public collections: get their files, compare their SHA-256, read them."""

from __future__ import annotations

import csv
import gzip
import hashlib
import http.client
import json
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4
from xml.etree import ElementTree

from classifier_training.data.public.answers import ANSWER_READERS, Answered, columns, joined
from classifier_training.data.public.lists import File, Source
from classifier_training.data.public.readers import READERS
from classifier_training.data.public.readers.prompt import Prompt
from router_backend.user_files import DataError

_SECONDS = 60
# What a file of another form raises; ElementTree's ParseError is a SyntaxError, and an encrypted archive a RuntimeError, as is JSON too deep.
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    SyntaxError,
    csv.Error,
    zipfile.BadZipFile,
    zlib.error,
)


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
    if out.is_dir():
        raise DataError(f"{out} is a folder: name a file to write")
    hashes = _have(wanted, folder, download)
    rows: dict[str, int] = {}
    with replacing(out) as partial, partial.open("w", newline="", encoding="utf-8") as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(["text", "task", "source", "language", "license"])
        for source in wanted:
            prompts = dict.fromkeys(prompt for file in source.files for prompt in _read(source, folder / file.name))
            rows[source.name] = len(prompts)
            writer.writerows([text, task, source.name, language, source.licence] for text, task, language in prompts)
    return Fetched(rows, hashes)


def fetch_answers(wanted: Sequence[Source], out: Path, folder: Path, download: bool) -> Fetched:
    """Write the recorded answers of `wanted` into the folder `out`, a CSV file each.

    Args:
        folder: where the files are, or are kept once they are downloaded.
        download: get those that aren't there; otherwise nothing but `folder` is read.

    Raises:
        DataError: files are missing or can't be had (all of them are named), or one is another than the list says.
    """
    out.mkdir(parents=True, exist_ok=True)
    hashes = _have(wanted, folder, download)
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
        with (
            replacing(out / f"{source.name}.csv") as partial,
            partial.open("w", newline="", encoding="utf-8") as target,
        ):
            csv.writer(target, lineterminator="\n").writerows(columns(list(answers.values())))
        rows[f"{source.name}.csv"] = len(answers)
    return Fetched(rows, hashes)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write beside `path`, in whose place it comes once it is whole; no other process has its name."""
    partial = path.with_name(f"{path.name}.{uuid4().hex}.part")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _have(wanted: Sequence[Source], folder: Path, download: bool) -> dict[str, str]:
    """Get all files; the SHA-256 of each by its name."""
    if download:
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
    if path.exists():
        return f"{path} is no file: move it away"
    if not download:
        return f"{path} is missing: save {file.url} under this name"
    try:
        with urllib.request.urlopen(file.url, timeout=_SECONDS) as answer:
            content = answer.read()
        if problem := _other(file, hashlib.sha256(content).hexdigest()):
            raise http.client.HTTPException(f"another file, or only a part of it: {problem}")
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        said = " ".join(str(error).split()) or type(error).__name__
        return f"{file.url}: {said}; save it as {path}, or use --from with a folder that has it"
    with replacing(path) as partial:
        partial.write_bytes(content)
    return ""


def _checked(file: File, folder: Path) -> str:
    path = folder / file.name
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if problem := _other(file, found):
        raise DataError(f"{path} is not the file that the list means: {problem}; delete it and get it from {file.url}")
    return found


def _other(file: File, found: str) -> str:
    """What is wrong with a file of the SHA-256 `found`; "" where it is the one that the list means."""
    return f"SHA-256 {found} in place of {file.sha256}" if file.sha256 and found != file.sha256 else ""


def _read(source: Source, path: Path) -> Iterator[Prompt]:
    try:
        raw = path.read_bytes()
        content = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
        for text, task, language in READERS[source.name](_content(path.name.removesuffix(".gz"), content), path.name):
            if text.strip():
                text.encode()  # half a character can stand in no file
                yield text.strip(), task, language
    except _UNREADABLE as error:
        raise DataError(f"{path} can't be read as a file of {source.page}: {error!r}") from error


def _answers(source: Source, path: Path) -> Iterator[Answered]:
    try:
        for row in ANSWER_READERS[source.name](_text(path), path.name):
            f"{row.prompt}{row.task}".encode()  # half a character can stand in no file
            yield row
    except _UNREADABLE as error:
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
