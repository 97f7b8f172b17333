"""The classifier's version folders, and the record of numbers that were ever used.

Triton's response cache is keyed by model, version and inputs, so a number is never used twice; not even after its
folder was deleted. A rollback copies an old version under a new number.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from classifier_training.promotion.errors import PromotionError
from router_backend.classifier.artifact import newest_artifact, versions
from router_backend.classifier.repository import RECORD_FILE
from router_backend.contract import CARD_FILE, MODEL_FILE, TOKENIZER_FILE


@dataclass(frozen=True, slots=True)
class Version:
    """A number that was used, and the version whose files it holds (itself, unless it is a rollback)."""

    number: int
    content: int


def read_record(repository: Path) -> list[Version]:
    """All numbers that were ever used, ascending; folders without an entry count as their own content."""
    path = repository / RECORD_FILE
    known: dict[int, int] = {}
    if path.is_file():
        try:
            known = {int(entry["number"]): int(entry["content"]) for entry in json.loads(path.read_text())}
        except (ValueError, KeyError, TypeError) as error:
            raise PromotionError(
                f"{path}: unreadable ({error}); restore it, or a version number may be used twice"
            ) from error
    for number in versions(repository):
        known.setdefault(number, number)
    return [Version(number, content) for number, content in sorted(known.items())]


def add_version(repository: Path, source: Path, content: int | None = None) -> Path:
    """Copy the artifact in `source` under a number that was never used; the record is written first.

    The folder appears complete: it is filled under another name and renamed.

    Args:
        content: the version that `source` is, when it is an old one.
    """
    record = read_record(repository)
    number = max((version.number for version in record), default=0) + 1
    record.append(Version(number, content or number))
    repository.mkdir(parents=True, exist_ok=True)
    path = repository / RECORD_FILE
    partial = path.with_suffix(".part")
    partial.write_text(
        json.dumps([{"number": version.number, "content": version.content} for version in record], indent=1) + "\n"
    )
    partial.replace(path)
    incoming = repository / f".incoming-{number}"
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir()
    for name in (MODEL_FILE, TOKENIZER_FILE, CARD_FILE):
        if (source / name).is_file():
            shutil.copyfile(source / name, incoming / name)
    return incoming


def publish(incoming: Path) -> Path:
    """Give a filled folder its number."""
    target = incoming.with_name(incoming.name.removeprefix(".incoming-"))
    incoming.rename(target)
    return target


def previous_content(repository: Path) -> int:
    """The version before the one whose files are served now.

    Raises:
        PromotionError: there is none, or its folder was deleted.
        ContractError: nothing is served yet.
    """
    current = int(newest_artifact(repository).name)
    record = read_record(repository)
    before: list[int] = []  # what a rollback goes back to, and what that one's goes back to, …
    for version in record:
        if version.number > current:
            break
        del before[before.index(version.content) if version.content in before else len(before) :]
        before.append(version.content)
    if len(before) < 2:
        again = f" (version {before[0]} again)" if before and before[0] != current else ""
        raise PromotionError(f"no version was served before version {current}{again}: there is nothing to go back to")
    content = before[-2]
    if content not in versions(repository):
        raise PromotionError(f"{repository / str(content)}: deleted, can't go back to it; promote its artifact again")
    return content
