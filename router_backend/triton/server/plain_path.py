"""Paths that tritonserver can use: its Python backend hands them, unquoted, to a shell."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path

_PLAIN = re.compile(r"[A-Za-z0-9_./+-]+")


def plain_path(folder: Path) -> Path:
    """`folder`, or a link to it where its path has a space, a quote or a letter outside ASCII.

    The link's name follows from the folder, so that each start replaces it and none is left over.

    Raises:
        OSError: another user has taken the name in the temporary folder.
    """
    target = str(folder.resolve())
    if _PLAIN.fullmatch(target):
        return folder
    temporary = tempfile.gettempdir()
    parent = Path(temporary if _PLAIN.fullmatch(temporary) else "/tmp")
    digest = hashlib.sha256(os.fsencode(target)).hexdigest()[:16]
    link = parent / f"llm-router-{os.getuid()}-{digest}"
    # Always made again: in a shared folder, one that is there already may be somebody else's and lead elsewhere.
    new = link.with_name(f"{link.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(link)
    return link
