"""Where the archive lies: a folder, or a bucket of S3, Google Cloud Storage or Azure, through Arrow's file systems."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from router_backend.archive.schema import TABLES, VERSION

REMOTE = ("s3://", "gs://", "gcs://", "abfs://", "abfss://")


class ArchiveError(RuntimeError):
    """The archive can't be read or written now; says where and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """A file system, and the path in it under which the tables are."""

    system: fs.FileSystem
    path: str
    shown: str  # without query, which may hold credentials

    @property
    def local(self) -> bool:
        return isinstance(self.system, fs.LocalFileSystem)

    def folder(self, table: str, day: str = "") -> str:
        return "/".join(filter(None, (self.path, f"v{VERSION}", table, day and f"day={day}")))

    def write(self, path: str, content: bytes | pa.Buffer) -> None:
        """A file that appears whole or not at all. ArchiveError if it can't be written."""
        try:
            if self.local:
                _write_durably(Path(path), content)
                return
            with self.system.open_output_stream(path) as file:  # an upload that isn't completed leaves no object
                file.write(content)
        except (OSError, pa.ArrowException) as error:
            raise ArchiveError(f"{self.shown}: can't be written ({_first_line(error)}); {_ADVICE}") from error

    def files(self, table: str, first: str = "", last: str = "9") -> list[str]:
        """Paths of a table's files of the days from `first` to `last`, by day."""
        selector = fs.FileSelector(self.folder(table), allow_not_found=True, recursive=True)
        try:
            found = self.system.get_file_info(selector)
        except (OSError, pa.ArrowException) as error:
            raise ArchiveError(f"{self.shown}: can't be read ({_first_line(error)}); {_ADVICE}") from error
        paths = [info.path for info in found if info.type == fs.FileType.File and info.path.endswith(".parquet")]
        return sorted(path for path in paths if first <= day_in(path) <= last)

    def remove(self, path: str) -> None:
        """A file that is there or not. ArchiveError if it can't be removed."""
        try:
            self.system.delete_file(path)
        except FileNotFoundError:
            return
        except (OSError, pa.ArrowException) as error:
            raise ArchiveError(f"{self.shown}: can't be tidied ({_first_line(error)}); {_ADVICE}") from error

    def days(self) -> list[str]:
        """The days that any table has rows of."""
        return sorted({day_in(path) for table in TABLES for path in self.files(table)})


_ADVICE = "check the address, the credentials and that the bucket or folder is there"


def open_place(address: str, state_dir: Path) -> Place:
    """The place that `archive:` names; a relative folder lies in `state_dir`.

    Raises:
        ArchiveError: it is no address of a file system that Arrow knows.
    """
    if not address.startswith(REMOTE):
        path = (state_dir / address.removeprefix("file://")).absolute()
        return Place(fs.LocalFileSystem(), str(path), str(path))
    shown = address.partition("?")[0]
    try:
        system, path = fs.FileSystem.from_uri(address.replace("gcs://", "gs://", 1))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ArchiveError(f"archive: {shown}: {_first_line(error)}") from error
    return Place(system, path.rstrip("/"), shown)


def day_in(path: str) -> str:
    return path.rpartition("/day=")[2].partition("/")[0]


def _write_durably(path: Path, content: bytes | pa.Buffer) -> None:
    folder = path.parent
    if not folder.is_dir():
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        for parent in (folder, *folder.parents[:3]):
            _sync(parent)
    beside = folder / f".{path.name}.{secrets.token_hex(4)}"  # engines pass over hidden files
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        _sync(folder)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
