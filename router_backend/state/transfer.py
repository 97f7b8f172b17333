"""Copies of a store in a file: export, import, and the decision log that `evaluate-policy` reads.

An export is JSON lines, compressed if the file's name ends in `.gz`: a header, one record a line under the name of its
kind, and a last line with their number, by which a file that was cut off is noticed.
"""

from __future__ import annotations

import gzip
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

import msgspec
import orjson

from router_backend.core.records import Decision, KeptFeedback, LearningEvent, Outcome, Record, Tally
from router_backend.state.codec import RecordError, decode, encode
from router_backend.state.store import Archive, Store

FORMAT = 1
_HEADER, _END = "llm_router_state", "records"
_KINDS: dict[str, type[Record]] = {
    "decision": Decision,
    "outcome": Outcome,
    "feedback": KeptFeedback,
    "event": LearningEvent,
    "tally": Tally,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_PAGE = 1000


class TransferError(ValueError):
    """A file that can't be imported, or a store that can't take it; nothing was written."""


def export_state(
    archive: Archive,
    path: Path,
    progress: Callable[[int], None] = lambda count: None,
    former: Iterable[LearningEvent] = (),
) -> int:
    """Write all that a store keeps; the file appears whole or not at all. Returns the number of records.

    `former`: the events in front of those that the store has, where its log was shortened.
    """
    count = 0
    with writing(path) as file:
        file.write(orjson.dumps({_HEADER: FORMAT}) + b"\n")
        for record in chain(former, archive.records()):
            file.write(b'{"%s":%s}\n' % (_NAMES[type(record)].encode(), encode(record)))
            count += 1
            if count % _PAGE == 0:
                progress(count)
        file.write(orjson.dumps({_END: count}) + b"\n")
    return count


def import_state(archive: Archive, path: Path, progress: Callable[[int], None] = lambda count: None) -> int:
    """Read an export into an empty store. The whole file is checked before anything is written.

    Raises:
        TransferError: the file is damaged, cut off or of a newer format, or the store isn't empty.
        StoreError: the store failed midway; reset it and import again.
    """
    if not archive.empty():
        raise TransferError("the store isn't empty; `llm-router state reset` it first, or name another --state-dir")
    for _ in _records(path):
        pass
    records, count = _records(path), 0
    while page := list(islice(records, _PAGE)):
        archive.restore(page)
        count += len(page)
        progress(count)
    return count


def export_decisions(store: Store, path: Path) -> int:
    """Write the decision log: a decision's fields a line, with `score`, `cost`, `served` where they are known."""
    scores: dict[str, KeptFeedback] = {}
    outcomes: dict[str, Outcome] = {}
    for record in store.archive().records():
        if isinstance(record, KeptFeedback):
            scores[record.feedback.decision_id] = record
        elif isinstance(record, Outcome):
            outcomes[record.decision_id] = record
    count = 0
    with writing(path) as file:
        for decision in _decisions(store.archive().records()):
            file.write(logged(decision, outcomes.get(decision.decision_id), scores.get(decision.decision_id)))
            count += 1
    return count


def _decisions(records: Iterable[Record]) -> Iterator[Decision]:
    return (record for record in records if isinstance(record, Decision))


def logged(decision: Decision, outcome: Outcome | None, kept: KeptFeedback | None) -> bytes:
    """A line of the decision log."""
    extra: dict[str, Any] = {}
    if outcome is not None:
        extra |= {"served": outcome.served, "cost": outcome.cost, "status": outcome.status}
    if kept is not None:
        extra |= {"score": kept.quality, "cost": kept.cost, "served": kept.arm, "implicit": kept.feedback.implicit}
        extra["selected"] = kept.feedback.selected
        if kept.feedback.task:
            extra["task_label"] = kept.feedback.task
    return orjson.dumps({**orjson.loads(encode(decision)), **extra}) + b"\n"


def _records(path: Path) -> Iterator[Record]:
    with _reading(path) as lines:
        header = _object(next(lines, b""), path, 1)
        if header.get(_HEADER) != FORMAT:
            finding = f"format {header[_HEADER]}" if _HEADER in header else "no header"
            raise TransferError(f"{path}:1: {finding}; this build reads format {FORMAT} of `llm-router state export`")
        count, ended = 0, False
        for number, line in enumerate(lines, 2):
            fields = _object(line, path, number)
            if _END in fields:
                ended = fields[_END] == count
                continue
            (name, body), *others = fields.items()
            kind = _KINDS.get(name)
            if kind is None or others or ended:
                raise TransferError(f"{path}:{number}: unknown record {name!r}; upgrade llm-router, or export again")
            try:
                yield decode(kind, bytes(body))  # type: ignore[type-var]
            except RecordError as error:
                raise TransferError(f"{path}:{number}: {error}") from error
            count += 1
        if not ended:
            raise TransferError(f"{path}: cut off after {count} records; export again")


def _object(line: bytes, path: Path, number: int) -> dict[str, Any]:
    """A line's members; those of records stay undecoded."""
    try:
        members = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        plain = {_HEADER, _END}
        return {name: msgspec.json.decode(raw) if name in plain else raw for name, raw in members.items()}
    except msgspec.MsgspecError as error:
        raise TransferError(f"{path}:{number}: not a line of an export ({error})") from error


@contextmanager
def _reading(path: Path) -> Iterator[Iterator[bytes]]:
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            yield iter(file)
    except (OSError, EOFError) as error:
        raise TransferError(f"{path}: can't be read ({error})") from error


@contextmanager
def writing(path: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """A file that replaces `path`, or what a link leads to, once it is whole and on disk; a device or pipe is written to."""
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as pipe, _compressed(pipe, path) as file:
                yield file
            return
        path = path.resolve()
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as raw:
            try:
                with _compressed(raw, path) as file:
                    yield file
                raw.flush()
                os.fsync(raw.fileno())
                os.replace(raw.name, path)
            except BaseException:
                os.unlink(raw.name)
                raise
    except OSError as error:
        raise TransferError(f"{path}: can't be written ({error})") from error


@contextmanager
def _compressed(file: IO[bytes], path: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """`file`, through gzip if the name asks for it."""
    if path.suffix == ".gz":
        with gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as stream:
            yield stream
    else:
        yield file
